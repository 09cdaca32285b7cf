"""The mean of a stream, one number at a time.

Paper: Welford (1962), Note on a Method for Calculating Corrected Sums of Squares and Products,
eq. for the mean.
Chapter: book/@PART@/@TOPIC@.ipynb

Differences from the paper: only the mean, not the sum of squares.

Axes: n numbers of the stream.
"""

import numpy as np
from jaxtyping import Float


def running_mean(stream: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the mean of the first 1, 2, …, n numbers, each from the one before.

    Raises ``ValueError`` for an empty stream.
    """
    if not stream.size:
        raise ValueError("the mean of no numbers is undefined: the stream is empty")
    means = np.empty_like(stream)
    mean = 0.0
    for count, number in enumerate(stream, start=1):
        mean += (number - mean) / count
        means[count - 1] = mean
    return means
