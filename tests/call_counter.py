"""A function that counts its calls."""


class CallCounter:
    """A function that counts its calls in ``evaluations``: the cost of a solver is the number of
    calls of its model.
    """

    def __init__(self, function):
        self.function, self.evaluations = function, 0

    def __call__(self, *arguments, **keywords):
        self.evaluations += 1
        return self.function(*arguments, **keywords)
