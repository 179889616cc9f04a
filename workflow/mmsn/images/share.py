"""One process's part of a step's images."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Images `first` to `first + images` of a step of `whole` images.

    Views and masks are drawn for all images of the step and cut afterwards, so that several processes with one share
    each see what one process with all of them sees.
    """

    first: int
    images: int
    whole: int

    @property
    def rows(self) -> slice:
        """Place of these images among all of the step."""
        return slice(self.first, self.first + self.images)


def all_of(images: Tensor) -> Share:
    """The share of a process that has every image of the step."""
    return Share(0, len(images), len(images))
