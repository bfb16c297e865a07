from .archive import ExportArchive as ExportArchive
from .stablehlo import LoadedProgram as LoadedProgram
from .stablehlo import load as load
