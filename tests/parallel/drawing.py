"""Tasks whose module knows Python's random numbers."""

import random


def draw_plainly(number):
    return random.random()
