"""Information criteria: the maximised log-likelihood of the training rows, with a penalty per parameter."""

import math


def bic(log_likelihood: float, parameters: int, n: int) -> float:
    """Return p log n − 2 L, lower is better: −2 log of the evidence, up to terms that do not grow with n.

    Args:
        log_likelihood: L = Σ_i log p(x_i) in nats, of the rows that the model was fitted to, at its maximum.
        parameters: p, the number of fitted parameters.
        n: the number of rows.

    Reference: Schwarz (1978), Estimating the dimension of a model, eq. 3 times −2.

    Example:
        >>> round(bic(-100.0, parameters=3, n=50), 3)
        211.736
    """
    return parameters * math.log(n) - 2 * log_likelihood


def aic(log_likelihood: float, parameters: int) -> float:
    """Return 2 p − 2 L, lower is better: an estimate of −2 times the log-likelihood of n new rows.

    Args:
        log_likelihood: L = Σ_i log p(x_i) in nats, of the rows that the model was fitted to, at its maximum.
        parameters: p, the number of fitted parameters.

    Reference: Akaike (1974), A new look at the statistical model identification, eq. 4.1.

    Example:
        >>> aic(-100.0, parameters=3)
        206.0
    """
    return 2 * parameters - 2 * log_likelihood
