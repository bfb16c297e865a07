"""Bounding boxes: their formats, their overlap, and how they move with an image."""

from kerata.layers.augmentation.boxes import affine_transform as affine_transform
from kerata.layers.augmentation.boxes import clip_to_image_size as clip_to_image_size
from kerata.layers.augmentation.boxes import convert_format as convert_format
from kerata.layers.augmentation.boxes import crop as crop
from kerata.layers.augmentation.boxes import pad as pad
from kerata.utils.bounding_boxes.deltas import decode_deltas_to_boxes as decode_deltas_to_boxes
from kerata.utils.bounding_boxes.deltas import encode_box_to_deltas as encode_box_to_deltas
from kerata.utils.bounding_boxes.overlap import compute_ciou as compute_ciou
from kerata.utils.bounding_boxes.overlap import compute_iou as compute_iou
