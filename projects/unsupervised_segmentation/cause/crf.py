import numpy as np
import torch

from rsc_mm.utils.dependencies import optional_module


class DenseCRF:
    """The fully connected CRF that sharpens scores by the image (Kraehenbuehl and Koltun, NeurIPS 2011), by pydensecrf.

    Defaults are CAUSE's.

    Args:
        iterations: of the mean field.
        gaussian: standard deviation in pixels and weight of the kernel of places.
        bilateral: standard deviation in pixels, in colour levels, and weight of the kernel of places and colours.

    Raises:
        ImportError: the library is not installed; the message names the extra.
    """

    def __init__(self, iterations: int = 10, gaussian: tuple[float, float] = (1, 3),
                 bilateral: tuple[float, float, float] = (67, 3, 4)) -> None:
        self.library = optional_module('pydensecrf.densecrf', 'pydensecrf2', 'The CRF of unsupervised segmentation',
                                       'crf')
        self.iterations = iterations
        self.gaussian = gaussian
        self.bilateral = bilateral

    def __call__(self, log_probabilities: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """The label of every pixel.

        Args:
            log_probabilities: (K, H, W).
            image: RGB (3, H, W) uint8.

        Returns:
            (H, W) int64 on the CPU.
        """
        classes, height, width = log_probabilities.shape
        field = self.library.DenseCRF2D(width, height, classes)
        unary = -log_probabilities.float().flatten(1)  # (K, H*W)
        field.setUnaryEnergy(np.ascontiguousarray(unary.cpu().numpy()))
        field.addPairwiseGaussian(sxy=self.gaussian[0], compat=self.gaussian[1])
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())  # (H, W, 3)
        field.addPairwiseBilateral(sxy=self.bilateral[0], srgb=self.bilateral[1], rgbim=pixels,
                                   compat=self.bilateral[2])
        best = np.array(field.inference(self.iterations)).argmax(0)
        return torch.from_numpy(best).view(height, width)  # (H, W)
