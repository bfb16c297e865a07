"""What `import torchvision` means under `kerata run` where torchvision is not installed: data sets and transforms.

Images come from `kerata.datasets`. They are Pillow's where Pillow is installed, as with torchvision; else NumPy arrays
(H, W) or (H, W, C), which every transform here takes as well. There are no models, ops or files of images.
"""
