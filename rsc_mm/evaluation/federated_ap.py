"""Average precision on federated annotations (LVIS), where an image is annotated exhaustively for some classes only."""
from collections import defaultdict
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
AREAS = {'': (0, 1e10), 's': (0, 32**2), 'm': (32**2, 96**2), 'l': (96**2, 1e10)}  # pixels
MAX_DETECTIONS = 300


def federated_ap(content: dict[str, Any], detections: list[dict[str, Any]], kind: str) -> np.ndarray:
    r"""AP of every category, IoU threshold and range of areas (LVIS, Gupta et al., 2019, sec. 2.2 and 5).

    .. math:: AP = \frac{1}{101} \sum_{r \in \{0, .01, \dots, 1\}} \max_{\tilde r \ge r} p(\tilde r)

    Of an image the 300 best detections of all categories count. Category c is evaluated on the images that show it and
    on those of which it is known to be absent (``neg_category_ids``); a detection elsewhere counts neither way, and an
    unmatched one does not where c is ``not_exhaustive_category_ids``. A detection takes the annotation of the largest
    IoU that no better one took; among those outside the range of areas only if none inside fits.

    Args:
        content: LVIS annotations: images with both lists, annotations with ``area`` in pixels, categories.
        detections: rows with ``image_id``, ``category_id``, ``score``, and ``bbox`` (x, y, width, height) or
            ``segmentation`` (RLE).
        kind: 'bbox' or 'segm', what IoU and area are taken of.

    Returns:
        (T, 10, 4) float64 for the categories by ascending id; nan where no annotation is in the range of areas.
    """
    pairs = _pair(content, detections, kind)
    ids = sorted(category['id'] for category in content['categories'])
    ap = np.full((len(ids), len(IOU_THRESHOLDS), len(AREAS)), np.nan)
    for row, category in enumerate(ids):
        images = [_prepare(*found, kind) for found in pairs.get(category, [])]
        for column, limits in enumerate(AREAS.values()):
            ap[row, :, column] = _average_precision([_match(*image, limits) for image in images])
    return ap


def _pair(content: dict, detections: list[dict], kind: str) -> dict[int, list[tuple[list, list, bool]]]:
    """Annotations, detections and exhaustiveness of the images of every category, by ascending image id."""
    truth, found = defaultdict(list), defaultdict(list)
    sizes = {image['id']: (image['height'], image['width']) for image in content['images']}
    for row in content['annotations']:
        region = row['bbox'] if kind == 'bbox' else _to_rle(row['segmentation'], sizes[row['image_id']])
        truth[row['image_id'], row['category_id']].append((region, row['area']))
    for row in _best_of_images(detections):
        region = row[{'bbox': 'bbox', 'segm': 'segmentation'}[kind]]
        area = region[2] * region[3] if kind == 'bbox' else float(mask_utils.area(region))
        found[row['image_id'], row['category_id']].append((region, area, row['score']))
    absent = {(image['id'], i) for image in content['images'] for i in image['neg_category_ids']}
    partial = {(image['id'], i) for image in content['images'] for i in image['not_exhaustive_category_ids']}
    pairs = defaultdict(list)
    for key in sorted(truth.keys() | (absent & found.keys())):
        pairs[key[1]].append((truth.get(key, []), found.get(key, []), key not in partial))
    return pairs


def _best_of_images(detections: list[dict]) -> list[dict]:
    rows = defaultdict(list)
    for row in detections:
        rows[row['image_id']].append(row)
    return [row for image in rows.values() for row in sorted(image, key=lambda r: -r['score'])[:MAX_DETECTIONS]]


def _to_rle(segmentation: dict | list, size: tuple[int, int]) -> dict:
    if isinstance(segmentation, list):
        return mask_utils.merge(mask_utils.frPyObjects(segmentation, *size))
    return segmentation if isinstance(segmentation['counts'], (str, bytes)) else mask_utils.frPyObjects(
        segmentation, *size)


def _prepare(truth: list, found: list, exhaustive: bool, kind: str) -> tuple:
    """IoU (K, G) of detections, best first, with annotations; both areas; scores; exhaustiveness."""
    found = sorted(found, key=lambda detection: -detection[2])
    regions, known = [row[0] for row in found], [row[0] for row in truth]
    iou = np.zeros((len(found), len(truth)))
    if found and truth:
        iou = np.asarray(mask_utils.iou(regions, known, [0] * len(known)))
    return (iou, np.array([row[1] for row in truth], float), np.array([row[1] for row in found], float),
            np.array([row[2] for row in found], float), exhaustive)


def _match(iou: np.ndarray, truth_area: np.ndarray, area: np.ndarray, scores: np.ndarray, exhaustive: bool,
           limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Matches one image: scores (K,), true and false positives (10, K), number of annotations in the range."""
    counts = (truth_area >= limits[0]) & (truth_area <= limits[1])
    free = np.ones((len(IOU_THRESHOLDS), len(truth_area)), bool)
    right, ignored = (np.zeros((len(IOU_THRESHOLDS), len(scores)), bool) for _ in range(2))
    rows = np.arange(len(IOU_THRESHOLDS))
    for k in range(len(scores) if len(truth_area) else 0):
        fits = free & (iou[k] >= IOU_THRESHOLDS[:, None])
        fits &= counts | ~(fits & counts).any(1, keepdims=True)
        # The last of the largest, as in the public code.
        best = len(truth_area) - 1 - np.where(fits, iou[k], -1)[:, ::-1].argmax(1)
        matched = fits.any(1)
        free[rows[matched], best[matched]] = False
        right[:, k], ignored[:, k] = matched & counts[best], matched & ~counts[best]
    outside = (area < limits[0]) | (area > limits[1]) | (not exhaustive)
    wrong = ~right & ~ignored & ~outside
    return scores, right, wrong, int(counts.sum())


def _average_precision(images: list[tuple]) -> np.ndarray:
    """(10,) AP of the images of a category."""
    total = sum(image[3] for image in images)
    if not total:
        return np.full(len(IOU_THRESHOLDS), np.nan)
    order = np.argsort(-np.concatenate([image[0] for image in images]), kind='stable')
    right, wrong = (np.concatenate([image[i] for image in images], axis=1)[:, order].cumsum(1) for i in (1, 2))
    precision = right / (right + wrong + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.pad(precision, ((0, 0), (0, 1)))  # recall that is not reached: 0
    return np.array([row[np.searchsorted(recall, RECALLS)].mean() for row, recall in zip(precision, right / total)])
