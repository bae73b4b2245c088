"""The check of the side to which images are resized."""

from mnistlab.data.formats.pictures import MOST_PIXELS
from mnistlab.system.errors import RequestError, whole


def check_size(size: int | None) -> None:
    """Check that ``size`` is a side in pixels, or None."""
    if size is None:
        return
    whole("size", size, what="the side of an image in pixels")
    if size**2 > MOST_PIXELS:
        raise RequestError(f"at most {int(MOST_PIXELS**0.5)} pixels per side are accepted", key="size", value=size)
