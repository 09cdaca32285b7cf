"""DINO: a student that learns from an average of its own past, without labels.

Paper: Caron et al. (2021), Emerging Properties in Self-Supervised Vision Transformers,
eqs. 1-5, algorithm 1, appendices C and F.1.
Chapter: book/representations/self_distillation.ipynb

Differences from the paper: the loss is the mean over pairs of views, as in the released code,
where eq. 3 has a sum; the head is narrow and has few outputs; features are shifted and scaled
by fixed numbers, because those of a tiny untrained backbone are nearly equal; crops are square.

Axes: v views, g global views, b batch, k outputs of the head, d features, n stored pictures,
m queries, c channels, H and W pixels, s pixels of a crop.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


def sharpen(
    outputs: Float[Tensor, "*v k"], center: Float[Tensor, " k"], temperature: float
) -> Float[Tensor, "*v k"]:
    """Turn the teacher's outputs into targets: subtract the center, divide, softmax."""
    if temperature <= 0:
        raise ValueError(f"a temperature is above zero: {temperature=}")
    return ((outputs - center) / temperature).softmax(dim=-1)


def dino_loss(
    student: Float[Tensor, "v b k"],
    targets: Float[Tensor, "g b k"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Cross-entropy of eq. 3, averaged over all pairs of two *different* views.

    The first g views of the student are the ones that the teacher saw too. No gradient reaches
    the targets.
    """
    views, seen = len(student), len(targets)
    if temperature <= 0:
        raise ValueError(f"a temperature is above zero: {temperature=}")
    if views < 2 or not 1 <= seen <= views:
        raise ValueError(f"needs two views, and the teacher's among them: {views=}, {seen=}")
    guesses = (student / temperature).log_softmax(dim=-1)
    pairs = -torch.einsum("gbk,vbk->gvb", targets.detach(), guesses).mean(dim=-1)
    different = ~torch.eye(seen, views, dtype=torch.bool, device=pairs.device)
    return pairs[different].mean()


@torch.no_grad()
def update_center(
    center: Float[Tensor, " k"], outputs: Float[Tensor, "*v k"], momentum: float
) -> Float[Tensor, " k"]:
    """Move the center toward the mean of the teacher's raw outputs (eq. 4)."""
    mean = outputs.flatten(end_dim=-2).mean(dim=0)
    return momentum * center + (1 - momentum) * mean


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move every weight of the teacher toward the student's: the moving average of sec. 3.1."""
    if not 0 <= momentum <= 1:
        raise ValueError(f"the momentum lies between 0 and 1: {momentum=}")
    for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
        old.lerp_(new, 1 - momentum)


def cosine(start: float, end: float, step: int, steps: int) -> float:
    """Go from ``start`` at step 0 to ``end`` at step ``steps`` along half a cosine."""
    if not 0 <= step <= steps or steps < 1:
        raise ValueError(f"the step lies between 0 and the last: {step=}, {steps=}")
    return end + (start - end) * (1 + math.cos(math.pi * step / steps)) / 2


def entropies(targets: Float[Tensor, "*v k"]) -> tuple[float, float]:
    """Return the mean entropy of the targets, and the entropy of the mean target, in nats."""
    p = targets.flatten(end_dim=-2)
    each, together = torch.special.entr(p).sum(-1).mean(), torch.special.entr(p.mean(0)).sum()
    return each.item(), together.item()


def random_crops(
    pictures: Float[Tensor, "b c H W"],
    scale: tuple[float, float],
    size: int,
    generator: torch.Generator,
) -> Float[Tensor, "b c s s"]:
    """Cut one square per picture, of a random share of its area, and resize it to ``size``."""
    low, high = scale
    if not 0 < low <= high <= 1 or size < 1:
        raise ValueError(f"needs 0 < low <= high <= 1 and a size: {scale=}, {size=}")
    area = low + (high - low) * torch.rand(len(pictures), generator=generator)
    side = area.sqrt()[:, None, None]  # in units of the picture's side
    middle = (2 * torch.rand(len(pictures), 2, 1, generator=generator) - 1) * (1 - side)
    boxes = torch.cat([side * torch.eye(2), middle], dim=-1).to(pictures)
    grid = F.affine_grid(boxes, [*pictures.shape[:2], size, size], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class Network(nn.Module):
    """Backbone f and projection head h; what is kept after training is f (sec. 3.1, appendix C).

    ``pictures`` fix, once, the shift and the scale by which features are standardized.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, backbone: nn.Module, pictures: Float[Tensor, "b c H W"], outputs: int, width: int = 64
    ) -> None:
        super().__init__()
        if len(pictures) < 2 or outputs < 2 or width < 2:
            raise ValueError(f"needs two of each: {len(pictures)=}, {outputs=}, {width=}")
        self.backbone = backbone
        with torch.no_grad():
            scale, shift = torch.std_mean(backbone(pictures), dim=0)
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale + 1e-6)
        layers: list[nn.Module] = []
        for inner, outer in ((len(shift), width), (width, width), (width, width // 2)):
            linear = nn.Linear(inner, outer)
            nn.init.orthogonal_(linear.weight)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.GELU()]
        self.mlp = nn.Sequential(*layers[:-1])
        self.prototypes = nn.Parameter(torch.randn(outputs, width // 2))

    def features(self, pictures: Float[Tensor, "b c H W"]) -> Float[Tensor, "b d"]:
        """Describe each picture by the backbone's d outputs, standardized; this is what is kept."""
        return (self.backbone(pictures) - self.shift) / self.scale

    def head(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Compare each description with k prototypes by the cosine of their angle."""
        return F.normalize(self.mlp(features), dim=-1) @ F.normalize(self.prototypes, dim=-1).T

    def forward(self, pictures: Float[Tensor, "b c H W"]) -> Float[Tensor, "b k"]:
        """Return the k outputs, each between -1 and 1."""
        return self.head(self.features(pictures))


@dataclass(frozen=True)
class Recipe:
    """How to distill; the two anti-collapse switches are the temperature and ``centering``."""

    steps: int = 120
    batch: int = 48
    rate: float = 1e-2
    teacher_temperature: float = 0.02
    student_temperature: float = 0.1
    teacher_momentum: float = 0.95  # rises to 1 along a cosine; 0: the teacher is a copy
    center_momentum: float = 0.5  # the center has to be quicker than the teacher
    centering: bool = True


Views = Callable[[Tensor], tuple[list[Tensor], list[Tensor]]]


def distill(
    student: Network,
    pictures: Float[Tensor, "n c H W"],
    views: Views,
    recipe: Recipe,
    generator: torch.Generator,
) -> Iterator[tuple[Network, float, Float[Tensor, "g b k"]]]:
    """Train the student (algorithm 1); yield teacher, loss and targets after every step.

    ``views`` turns a batch into global views, all of one size, and local ones, all of another.
    """
    teacher = copy.deepcopy(student).requires_grad_(requires_grad=False)
    center = torch.zeros(len(student.prototypes), device=pictures.device)
    optimizer = torch.optim.AdamW(student.parameters(), recipe.rate)
    for step in range(recipe.steps):
        chosen = torch.randint(len(pictures), (recipe.batch,), generator=generator)
        sizes = [torch.cat(same) for same in views(pictures[chosen]) if same]
        outputs = student.head(torch.cat([student.features(same) for same in sizes]))
        with torch.no_grad():
            judged = rearrange(teacher(sizes[0]), "(g b) k -> g b k", b=recipe.batch)
        used = center if recipe.centering else torch.zeros_like(center)
        targets = sharpen(judged, used, recipe.teacher_temperature)
        guesses = rearrange(outputs, "(v b) k -> v b k", b=recipe.batch)
        loss = dino_loss(guesses, targets, recipe.student_temperature)
        for group in optimizer.param_groups:  # a short warm-up, then down along a cosine
            group["lr"] = min(1, (step + 1) / 30) * cosine(recipe.rate, 0.0, step, recipe.steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        keep = recipe.teacher_momentum
        update_teacher(teacher, student, cosine(keep, 1.0, step, recipe.steps) if keep else 0.0)
        center = update_center(center, judged, recipe.center_momentum)
        yield teacher, loss.item(), targets


def nearest_neighbors(
    stored: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    queries: Float[Tensor, "m d"],
    k: int = 20,
    temperature: float = 0.07,
) -> Int[Tensor, " m"]:
    """Label each query by a vote of its k nearest neighbors (appendix F.1).

    Near means a large cosine; a vote weighs exp(cosine / temperature).
    """
    if not 1 <= k <= len(stored):
        raise ValueError(
            f"k lies between 1 and the number of stored features: {k=}, {len(stored)=}"
        )
    cosines = F.normalize(queries, dim=-1) @ F.normalize(stored, dim=-1).T
    near, index = cosines.topk(k, dim=-1)
    ballots = F.one_hot(labels[index], int(labels.max()) + 1).to(near)
    return torch.einsum("mk,mkc->mc", (near / temperature).exp(), ballots).argmax(dim=-1)
