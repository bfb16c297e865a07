"""Pictures of data and of what a model makes of it: boxes and masks on images, galleries, confusion matrices, curves.

Drawing on arrays needs NumPy alone (labels of boxes need Pillow); the figures are matplotlib's, which is imported when
the first one is made. Every figure comes back to the caller: a notebook shows it, `path=` writes it to a file.
"""

from kerata.visualization.boxes import draw_bounding_boxes, plot_bounding_box_gallery
from kerata.visualization.confusion import confusion_matrix, plot_confusion_matrix
from kerata.visualization.gallery import plot_image_gallery
from kerata.visualization.masks import draw_segmentation_masks, plot_segmentation_mask_gallery
from kerata.visualization.samples import plot_samples

__all__ = [
    "confusion_matrix", "draw_bounding_boxes", "draw_segmentation_masks", "plot_bounding_box_gallery",
    "plot_confusion_matrix", "plot_image_gallery", "plot_samples", "plot_segmentation_mask_gallery",
]  # fmt: skip
