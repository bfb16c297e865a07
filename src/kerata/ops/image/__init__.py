"""Images: (H, W, C) or (B, H, W, C), or with channels first."""

from kerata.ops.image.color import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from kerata.ops.image.filtering import gaussian_blur, sobel_edges, ssim
from kerata.ops.image.framing import crop_images, extract_patches, extract_patches_3d, pad_images
from kerata.ops.image.resampling import resize, scale_and_translate
from kerata.ops.image.warping import affine_transform, elastic_transform, map_coordinates, perspective_transform

__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d", "gaussian_blur",
    "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "resize", "rgb_to_grayscale",
    "rgb_to_hsv", "scale_and_translate", "sobel_edges", "ssim",
]  # fmt: skip
