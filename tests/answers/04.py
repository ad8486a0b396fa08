"""Plausible wrong answers to the exercises of notebook 04."""


def uncorrected(w, g, m, v, t, rate, decay):
    """Leaves out what the hats stand for."""
    m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
    return w - rate * decay * w - rate * m / (v**0.5 + 1e-8), m, v


def decay_in_the_gradient(w, g, m, v, t, rate, decay):
    """Adam with L2, which is not AdamW."""
    g = g + decay * w
    m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.98**t)
    return w - rate * m_hat / (v_hat**0.5 + 1e-8), m, v


def unsquared(w, g, m, v, t, rate, decay):
    m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.98**t)
    return w - rate * m_hat / (abs(v_hat) ** 0.5 + 1e-8), m, v


def corrected_as_at_first(w, g, m, v, t, rate, decay):
    """Takes t = 1 at every step."""
    return decay_free(w, g, m, v, 1, rate)


def decay_free(w, g, m, v, t, rate, decay=0.0):
    m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.98**t)
    return w - rate * m_hat / (v_hat**0.5 + 1e-8), m, v


def weight_alone(w, g, m, v, t, rate, decay):
    return decay_free(w, g, m, v, t, rate)[0]


def without_rate(w, g, m, v, t, rate, decay):
    """Takes the whole decay at each step."""
    new, m, v = decay_free(w, g, m, v, t, rate)
    return new - decay * w, m, v


def counting_all(losses, patience):
    """Counts every evaluation that is not lower, also those not in a row."""
    best, waited = 0, 0
    for now in range(1, len(losses)):
        if losses[now] < losses[best]:
            best = now
        else:
            waited += 1
        if waited >= patience:
            return now, best
    return len(losses) - 1, best


def beside_the_one_before(losses, patience):
    """Compares with the loss before, not with the lowest."""
    waited = 0
    for now in range(1, len(losses)):
        waited = 0 if losses[now] < losses[now - 1] else waited + 1
        if waited >= patience:
            return now, losses.index(min(losses[: now + 1]))
    return len(losses) - 1, losses.index(min(losses))


def keeping_the_last(losses, patience):
    best = 0
    for now, loss in enumerate(losses):
        best = now if loss < losses[best] else best
        if now - best >= patience:
            return now, now
    return len(losses) - 1, len(losses) - 1


def equal_counts_as_lower(losses, patience):
    best = 0
    for now, loss in enumerate(losses):
        best = now if loss <= losses[best] else best
        if now - best >= patience:
            return now, best
    return len(losses) - 1, best


WRONG = {
    "4.1": [
        uncorrected,
        decay_in_the_gradient,
        unsquared,
        corrected_as_at_first,
        decay_free,
        weight_alone,
        without_rate,
    ],
    "4.2": [
        counting_all,
        beside_the_one_before,
        keeping_the_last,
        equal_counts_as_lower,
    ],
}
