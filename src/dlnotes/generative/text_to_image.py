"""Pictures as sentences: a codebook of tiles, and one stream of words and tiles.

Paper: Ramesh et al. (2021), Zero-Shot Text-to-Image Generation, sec. 2 and appendix B.1;
van den Oord et al. (2017), Neural Discrete Representation Learning, eq. 1-3.
Chapter: book/generative/text_to_image.ipynb

Differences from the papers: the transformer reads the tokens of a VQ-VAE, not of a discrete VAE;
captions have a fixed length and hence no padding; the neighborhood mask is 3 by 3 and does not
wrap around the margin.

Axes: b batch, h by w tiles, n tiles in raster order, t words, s = t + n stream, q queries,
k codes, d width of a code, c width of a token, H by W pixels.
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from dlnotes.attention.self_attention import attend

TILE = 4  # pixels


# Tiles to codes


def nearest_code(
    vectors: Float[Tensor, "*n d"], codebook: Float[Tensor, "k d"]
) -> Int64[Tensor, "*n"]:
    """Pick for each vector the closest code (VQ-VAE eq. 1)."""
    squares = (vectors**2).sum(-1, keepdim=True) + (codebook**2).sum(-1)
    return (squares - 2 * vectors @ codebook.T).argmin(-1)


def straight_through(
    vectors: Float[Tensor, "*n d"], codes: Float[Tensor, "*n d"]
) -> Float[Tensor, "*n d"]:
    """Return the codes, but hand their gradient to the vectors (VQ-VAE sec. 3.2)."""
    return vectors + (codes - vectors).detach()


def gumbel_softmax(
    logits: Float[Tensor, "*n k"], temperature: float, generator: torch.Generator | None = None
) -> Float[Tensor, "*n k"]:
    """Draw a soft choice among codes: the colder, the closer to one-hot."""
    if not temperature > 0:
        raise ValueError(f"a temperature is positive: {temperature=}")
    noise = -torch.empty_like(logits).exponential_(generator=generator).log()
    return ((logits + noise) / temperature).softmax(-1)


def tile_encoder(depth: int, width: int = 32) -> nn.Sequential:
    """Turn every tile, with half a tile around it, into a vector."""
    look = nn.Conv2d(3, width, kernel_size=2 * TILE, stride=TILE, padding=TILE // 2)
    return nn.Sequential(look, nn.ReLU(), nn.Conv2d(width, depth, 1))


def tile_decoder(depth: int, width: int = 64) -> nn.Sequential:
    """Turn every vector, with the vectors around it, into the pixels of a tile."""
    look_around = nn.Conv2d(depth, width, kernel_size=3, padding=1)
    paint = nn.Conv2d(width, 3 * TILE**2, 1)
    return nn.Sequential(look_around, nn.ReLU(), paint, nn.PixelShuffle(TILE))


class ImageTokenizer(nn.Module):
    """A VQ-VAE whose codes follow the vectors that choose them (VQ-VAE appendix A.1)."""

    def __init__(self, codes: int = 64, depth: int = 16) -> None:
        super().__init__()
        if codes < 2 or depth < 1:
            raise ValueError(f"needs codes >= 2 and depth >= 1: {codes=}, {depth=}")
        self.encoder, self.decoder = tile_encoder(depth), tile_decoder(depth)
        self.register_buffer("codebook", torch.randn(codes, depth))
        self.register_buffer("counts", torch.zeros(codes))
        self.codebook: Tensor
        self.counts: Tensor

    def encode(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b h w d"]:
        """Turn pixels into one vector per tile, not yet rounded to a code."""
        return rearrange(self.encoder(images), "b d h w -> b h w d")

    def decode(self, vectors: Float[Tensor, "b h w d"]) -> Float[Tensor, "b 3 H W"]:
        """Turn vectors, which should be codes, into pixels."""
        pixels: Tensor = self.decoder(rearrange(vectors, "b h w d -> b d h w"))
        return pixels

    def tokens(self, images: Float[Tensor, "b 3 H W"]) -> Int64[Tensor, "b n"]:
        """Return the number of each tile's code, row by row."""
        return nearest_code(self.encode(images), self.codebook).flatten(1)

    def paint(self, tokens: Int64[Tensor, "b n"]) -> Float[Tensor, "b 3 H W"]:
        """Turn the tokens of square pictures into pixels."""
        side = round(tokens.shape[1] ** 0.5)
        return self.decode(self.codebook[rearrange(tokens, "b (h w) -> b h w", h=side)])

    @torch.no_grad()
    def follow(
        self, vectors: Float[Tensor, "n d"], tokens: Int64[Tensor, " n"], keep: float = 0.9
    ) -> None:
        """Move each code toward the mean of the vectors that chose it."""
        chosen = nn.functional.one_hot(tokens, len(self.codebook)).to(vectors)
        sums = keep * self.counts[:, None] * self.codebook + (1 - keep) * chosen.T @ vectors
        self.counts.mul_(keep).add_(chosen.sum(0), alpha=1 - keep)
        self.codebook.copy_(sums / self.counts.clamp_min(1e-5)[:, None])

    @torch.no_grad()
    def revive(self, vectors: Float[Tensor, "n d"], below: float = 0.1) -> int:
        """Replace codes that hardly anything chooses by random vectors; say how many."""
        dead = self.counts < below
        self.codebook[dead] = vectors[torch.randint(len(vectors), (int(dead.sum()),))]
        self.counts[dead] = 1.0
        return int(dead.sum())


# One stream of words and tiles


def stream_mask(words: int, grid: int, kind: str) -> Bool[Tensor, "s s"]:
    """Say which earlier positions each position of the stream may read (appendix B.1).

    Words read words. A tile reads all words and itself and, of the tiles before it, by ``kind``:
    all ("full"), the last ``grid`` in raster order ("row"), its column ("column"), or those that
    touch it ("neighborhood").
    """
    if words < 1 or grid < 1:
        raise ValueError(f"needs words >= 1 and grid >= 1: {words=}, {grid=}")
    place = torch.arange(words + grid**2)
    back = place[:, None] - place
    row, column = (place - words) // grid, (place - words) % grid
    down, across = (row[:, None] - row).abs(), (column[:, None] - column).abs()
    kinds = {
        "full": back >= 0,
        "row": back <= grid,
        "column": across == 0,
        "neighborhood": torch.maximum(down, across) <= 1,
    }
    if kind not in kinds:
        raise ValueError(f"kind is one of {', '.join(kinds)}, not {kind!r}")
    return (back >= 0) & (kinds[kind] | (place < words))


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, mask: Tensor, past: list[Tensor]) -> Tensor:
        """Read the past and ``x``; leave keys and values in ``past`` for the next call."""
        split = "b q (three heads c) -> three b heads q c"
        query, *new = rearrange(self.project(self.norm_1(x)), split, three=3, heads=self.heads)
        past[:] = [torch.cat(pair, dim=2) for pair in zip(past, new, strict=True)] if past else new
        read, _ = attend(query, past[0], past[1], mask)
        x = x + self.mix(rearrange(read, "b heads q c -> b q (heads c)"))
        return x + self.think(self.norm_2(x))


class StreamTransformer(nn.Module):
    """A decoder-only transformer over words, then tiles; one mask per layer."""

    def __init__(
        self,
        kinds: tuple[str, ...] = ("row", "column", "neighborhood"),
        words: int = 5,
        grid: int = 6,
        codes: int = 64,
        width: int = 64,
        vocabulary: int = 11,
    ) -> None:
        super().__init__()
        if not kinds or width < 16 or width % 16:
            raise ValueError(f"needs a layer and a width in steps of 16: {kinds=}, {width=}")
        self.word, self.tile = nn.Embedding(vocabulary, width), nn.Embedding(codes, width)
        self.word_place = nn.Parameter(torch.zeros(words, width))
        self.row, self.column = (nn.Parameter(torch.zeros(grid, width)) for _ in range(2))
        for table in (self.word.weight, self.tile.weight, self.word_place, self.row, self.column):
            nn.init.normal_(table, std=0.1)
        self.layers = nn.ModuleList(_Layer(width, heads=width // 16) for _ in kinds)
        masks = torch.stack([stream_mask(words, grid, kind) for kind in kinds])
        self.register_buffer("masks", masks)
        self.masks: Tensor
        self.norm = nn.LayerNorm(width)
        self.to_word, self.to_tile = nn.Linear(width, vocabulary), nn.Linear(width, codes)

    def forward(
        self,
        text: Int64[Tensor, "b t"],
        tiles: Int64[Tensor, "b n"],
        past: list[list[Tensor]] | None = None,
    ) -> Float[Tensor, "b s c"]:
        """Return the state of every position; the next token is read from it.

        With ``past``, which this fills, only the positions that it does not hold are worked out.
        """
        places = rearrange(self.row[:, None] + self.column, "h w c -> (h w) c")
        tile = self.tile(tiles) + places[: tiles.shape[1]]
        x = torch.cat([self.word(text) + self.word_place, tile], dim=1)
        past = [[] for _ in self.layers] if past is None else past
        known, end = past[0][0].shape[2] if past[0] else 0, x.shape[1]
        x = x[:, known:]
        for layer, mask, seen in zip(self.layers, self.masks, past, strict=True):
            x = layer(x, mask[known:end, :end], seen)
        return self.norm(x)  # type: ignore[no-any-return]

    @torch.no_grad()
    def sample(
        self, text: Int64[Tensor, "b t"], generator: torch.Generator | None = None
    ) -> Int64[Tensor, "b n"]:
        """Continue each caption with tiles, one after another."""
        tiles = text[:, :0]
        past: list[list[Tensor]] = [[] for _ in self.layers]
        for _ in range(len(self.row) ** 2):
            odds = self.to_tile(self(text, tiles, past)[:, -1]).softmax(-1)
            tiles = torch.cat([tiles, odds.multinomial(1, generator=generator)], dim=1)
        return tiles
