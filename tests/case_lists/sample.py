"""What the windows of a deformable convolution hold."""

from .case import Case, rand


def columns(name: str, channels: int, height: int, width: int, kernel: tuple[int, int], mask: bool = True,
            groups: int = 1, batch: int = 1, far: float = 1.5, **moves) -> Case:
    strides, paddings, dilations = (moves.get(key, [one, one]) for key, one in
                                    (("strides", 1), ("paddings", 0), ("dilations", 1)))
    out = [(size + 2 * paddings[i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
           for i, size in enumerate((height, width))]
    taps = kernel[0] * kernel[1] * groups
    inputs = {"Input": [rand(batch, channels, height, width)],
              "Offset": [rand(batch, 2 * taps, *out, low=-far, high=far)]}
    if mask:
        inputs["Mask"] = [rand(batch, taps, *out, low=0, high=1)]
    return Case(f"deformable_columns_{name}", "deformable_columns", inputs,
                {"kernel": list(kernel), "deformable_groups": groups, **moves})


CASES = [
    columns("3x3", 3, 7, 6, (3, 3), paddings=[1, 1]), columns("no_mask", 2, 5, 8, (3, 3), mask=False),
    columns("1x1", 5, 4, 3, (1, 1)), columns("odd_window", 2, 6, 7, (2, 3), batch=2, paddings=[1, 0]),
    columns("stride", 3, 9, 8, (3, 3), strides=[2, 3], paddings=[1, 1]),
    columns("dilation", 2, 9, 9, (3, 2), dilations=[2, 3], paddings=[2, 2]),
    columns("groups", 6, 5, 5, (3, 3), groups=3, paddings=[1, 1], batch=2),
    columns("groups_no_mask", 4, 6, 4, (2, 2), groups=2, mask=False),
    columns("far_outside", 2, 4, 4, (3, 3), far=6, paddings=[1, 1]), columns("whole_pixels", 1, 3, 3, (3, 3), far=0),
]
