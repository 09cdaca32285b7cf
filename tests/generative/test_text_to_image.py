"""Oracles, properties, gradients and refusals of dlnotes.generative.text_to_image."""

import pytest
import torch
from scipy.cluster.vq import vq
from sklearn.cluster import KMeans
from torch.nn import functional as F

from dlnotes.attention.self_attention import attend
from dlnotes.generative.text_to_image import (
    TILE,
    ImageTokenizer,
    StreamTransformer,
    gumbel_softmax,
    nearest_code,
    straight_through,
    stream_mask,
    tile_decoder,
    tile_encoder,
)

KINDS = ("row", "column", "neighborhood")
VOCABULARY = 11


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def model() -> StreamTransformer:
    torch.manual_seed(0)
    return (
        StreamTransformer(KINDS, words=5, grid=4, codes=7, width=32, vocabulary=VOCABULARY)
        .double()
        .eval()
    )


@pytest.fixture
def tokenizer() -> ImageTokenizer:
    torch.manual_seed(0)
    return ImageTokenizer(codes=9, depth=5)


def stream(batch: int = 3, tiles: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(1)
    return (
        torch.randint(VOCABULARY, (batch, 5), generator=chance),
        torch.randint(7, (batch, tiles), generator=chance),
    )


# Quantizers


@pytest.mark.oracle("scipy.cluster.vq.vq", of="nearest_code", tolerance=0)
def test_the_nearest_code_is_scipys(agree, rng):
    vectors = torch.randn(200, 5, generator=rng, dtype=torch.float64)
    codes = torch.randn(17, 5, generator=rng, dtype=torch.float64) * 1.5
    agree(nearest_code(vectors, codes), vq(vectors.numpy(), codes.numpy())[0])
    agree(nearest_code(vectors.reshape(4, 50, 5), codes).flatten(), nearest_code(vectors, codes))


@pytest.mark.oracle("sklearn.cluster.KMeans.predict", of="nearest_code", tolerance=0)
def test_the_nearest_code_is_that_of_k_means(agree, rng):
    vectors = torch.randn(300, 4, generator=rng, dtype=torch.float64)
    means = KMeans(8, n_init=1, random_state=0).fit(vectors.numpy())
    codes = torch.tensor(means.cluster_centers_)
    agree(nearest_code(vectors, codes), means.predict(vectors.numpy()))


@pytest.mark.oracle("the gradient by hand, 2 (code - target)", of="straight_through", tolerance=0)
def test_the_gradient_at_the_vector_is_that_of_its_code(agree):
    z = torch.tensor([[3.0, 1.0]], requires_grad=True)
    codes = torch.tensor([[4.0, 0.0]], requires_grad=True)
    target = torch.tensor([[4.0, 2.0]])
    passed = straight_through(z, codes)
    ((passed - target) ** 2).sum().backward()
    agree(passed, codes)
    agree(z.grad, 2 * (codes - target))
    assert codes.grad is None or not codes.grad.any()


@pytest.mark.oracle("torch.nn.functional.gumbel_softmax", of="gumbel_softmax", tolerance=1e-12)
@pytest.mark.parametrize("temperature", [2.0, 0.5, 1 / 16])
def test_gumbel_softmax_is_pytorchs(agree, rng, temperature):
    logits = torch.randn(5, 6, generator=rng, dtype=torch.float64)
    torch.manual_seed(3)
    ours = gumbel_softmax(logits, temperature)
    torch.manual_seed(3)
    agree(ours, F.gumbel_softmax(logits, temperature))


@pytest.mark.parametrize("temperature", [2.0, 1 / 16])
def test_the_winner_follows_softmax_at_any_temperature(rng, temperature):
    logits = torch.tensor([1.0, 0.0, -1.0])
    drawn = gumbel_softmax(logits.expand(20_000, 3), temperature, rng)
    torch.testing.assert_close(drawn.sum(-1), torch.ones(20_000))
    share = F.one_hot(drawn.argmax(-1), 3).float().mean(0)
    torch.testing.assert_close(share, logits.softmax(0), atol=0.012, rtol=0)


def test_gumbel_softmax_has_a_gradient_and_a_generator():
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def first(x):
        return gumbel_softmax(x, 0.7, torch.Generator().manual_seed(0))[0]

    assert torch.autograd.gradcheck(first, (logits,))


# The tokenizer


@pytest.mark.oracle("a tile and half a tile around it", of="tile_encoder", tolerance=0)
def test_the_encoder_sees_eight_pixels_for_a_tile_of_four(agree, rng):
    images = torch.rand(8, 3, 24, 24, generator=rng, requires_grad=True)
    vectors = tile_encoder(6)(images)
    assert vectors.shape == (8, 6, 6, 6)
    vectors[:, :, 3, 2].pow(2).sum().backward()
    touched = images.grad.abs().sum((0, 1)) > 0
    agree(touched.nonzero().min(0).values, [TILE * 3 - 2, TILE * 2 - 2])
    agree(touched.nonzero().max(0).values, [TILE * 4 + 1, TILE * 3 + 1])


@pytest.mark.oracle(
    "matrix products, tile by tile", of=["tile_encoder", "tile_decoder"], tolerance=1e-5
)
def test_every_tile_is_coded_and_painted_by_the_same_matrices(agree, rng):
    def two_layers(net, x):
        first, second = (part for part in net if hasattr(part, "weight"))
        hidden = (x.flatten(1) @ first.weight.flatten(1).T + first.bias).clamp_min(0)
        return hidden @ second.weight.flatten(1).T + second.bias

    encoder, decoder = tile_encoder(5), tile_decoder(5)
    images = torch.rand(2, 3, 12, 16, generator=rng)
    vectors = encoder(images)
    pixels = decoder(vectors)
    assert pixels.shape == images.shape
    framed, ringed = F.pad(images, (2, 2, 2, 2)), F.pad(vectors, (1, 1, 1, 1))
    for h in range(3):
        for w in range(4):
            seen = framed[:, :, 4 * h : 4 * h + 8, 4 * w : 4 * w + 8]
            agree(vectors[:, :, h, w], two_layers(encoder, seen))
            tile = pixels[:, :, 4 * h : 4 * h + 4, 4 * w : 4 * w + 4]
            around = ringed[:, :, h : h + 3, w : w + 3]
            agree(tile.flatten(1), two_layers(decoder, around))


@pytest.mark.oracle("scipy.cluster.vq.vq", of="ImageTokenizer.tokens", tolerance=0)
def test_tokens_number_the_nearest_codes_row_by_row(agree, tokenizer, rng):
    images = torch.rand(2, 3, 12, 16, generator=rng)
    with torch.no_grad():
        vectors = tokenizer.encode(images)
        agree(
            tokenizer.tokens(images).flatten(),
            vq(vectors.flatten(0, 2).numpy(), tokenizer.codebook.numpy())[0],
        )
    assert vectors.shape == (2, 3, 4, 5)


@pytest.mark.oracle(
    "encoder, codes and decoder in turn",
    of=["ImageTokenizer", "ImageTokenizer.paint"],
    tolerance=1e-6,
)
def test_paint_puts_codes_on_the_grid(agree, tokenizer):
    tokens = torch.arange(9)[None]
    grid = tokenizer.codebook.reshape(3, 3, 5).permute(2, 0, 1)[None]
    agree(tokenizer.paint(tokens), tokenizer.decoder(grid))
    agree(tokenizer.decode(grid.permute(0, 2, 3, 1)), tokenizer.decoder(grid))
    pixels = torch.rand(1, 3, 8, 8)
    agree(tokenizer.encode(pixels), tokenizer.encoder(pixels).permute(0, 2, 3, 1))


@pytest.mark.oracle("one step of Lloyd's algorithm", of="ImageTokenizer.follow", tolerance=1e-5)
def test_with_no_memory_codes_move_to_the_means(agree, tokenizer, rng):
    vectors = torch.randn(400, 5, generator=rng)
    tokens = nearest_code(vectors, tokenizer.codebook)
    tokenizer.follow(vectors, tokens, keep=0.0)
    for code in tokens.unique():
        agree(tokenizer.codebook[code], vectors[tokens == code].mean(0))


def test_codes_follow_slowly_and_weigh_by_counts(tokenizer):
    tokenizer.codebook[0], tokenizer.counts[0] = torch.zeros(5), 10.0
    vectors = torch.ones(4, 5)
    tokenizer.follow(vectors, torch.zeros(4, dtype=torch.long), keep=0.9)
    # (0.9 * 10 * 0 + 0.1 * 4 * 1) / (0.9 * 10 + 0.1 * 4)
    torch.testing.assert_close(tokenizer.codebook[0], torch.full((5,), 0.4 / 9.4))
    assert tokenizer.counts[0].item() == pytest.approx(9.4)


def test_only_dead_codes_are_revived_and_onto_vectors(tokenizer, rng):
    tokenizer.counts[:] = torch.tensor([1.0, 0.0] * 4 + [1.0])
    before, vectors = tokenizer.codebook.clone(), torch.randn(30, 5, generator=rng)
    assert tokenizer.revive(vectors) == 4
    assert torch.equal(tokenizer.codebook[::2], before[::2])
    assert all((vectors == code).all(1).any() for code in tokenizer.codebook[1::2])
    assert tokenizer.revive(vectors) == 0


# The stream


def by_hand(kind: str, words: int, grid: int) -> torch.Tensor:
    mask = torch.zeros(words + grid**2, words + grid**2, dtype=torch.bool)
    for reader in range(len(mask)):
        for read in range(reader + 1):
            (r, c), (s, d) = (divmod(place - words, grid) for place in (reader, read))
            near = {
                "full": True,
                "row": reader - read <= grid,
                "column": c == d,
                "neighborhood": abs(r - s) <= 1 and abs(c - d) <= 1,
            }[kind]
            mask[reader, read] = read < words or near
    return mask


@pytest.mark.oracle("two loops over who reads and who is read", of="stream_mask", tolerance=0)
@pytest.mark.parametrize("kind", ["full", *KINDS])
def test_masks_are_what_two_loops_say(agree, kind):
    agree(stream_mask(5, 4, kind), by_hand(kind, 5, 4))


@pytest.mark.oracle(
    "torch.nn.functional.scaled_dot_product_attention", of="stream_mask", tolerance=1e-12
)
@pytest.mark.parametrize("kind", ["full", *KINDS])
def test_masked_attention_is_pytorchs(agree, rng, kind):
    mask = stream_mask(3, 4, kind)
    query, key, value = torch.randn(3, 2, len(mask), 6, generator=rng, dtype=torch.float64).unbind()
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    agree(attend(query, key, value, mask)[0], expected)


def layer_by_hand(layer, x, mask):
    query, key, value = (
        part.unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        for part in layer.project(layer.norm_1(x)).chunk(3, dim=-1)
    )
    read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    x = x + layer.mix(read.transpose(1, 2).flatten(2))
    return x + layer.think(layer.norm_2(x))


@pytest.mark.oracle(
    "torch.nn.functional.scaled_dot_product_attention, layer by layer",
    of=["StreamTransformer", "StreamTransformer.forward"],
    tolerance=1e-10,
)
def test_the_transformer_is_its_layers_in_turn(agree, model):
    text, tiles = stream()
    places = (model.row[:, None] + model.column[None]).flatten(0, 1)
    x = torch.cat([model.word(text) + model.word_place, model.tile(tiles) + places], 1)
    for layer, kind in zip(model.layers, KINDS, strict=True):
        x = layer_by_hand(layer, x, stream_mask(5, 4, kind))
    agree(model(text, tiles), model.norm(x))


def test_later_tokens_change_nothing_before_them(model):
    text, tiles = stream()
    before, edited = model(text, tiles), tiles.clone()
    edited[:, 9] = (edited[:, 9] + 1) % 7
    after = model(text, edited)
    torch.testing.assert_close(before[:, : 5 + 9], after[:, : 5 + 9])
    assert not torch.allclose(before[:, 5 + 9], after[:, 5 + 9])


def test_working_step_by_step_changes_nothing(model):
    text, tiles = stream()
    past = [[] for _ in KINDS]
    parts = [model(text, tiles[:, :n], past) for n in range(17)]
    torch.testing.assert_close(torch.cat(parts, 1), model(text, tiles))


@pytest.mark.oracle(
    "drawing from the full forward pass, tile by tile",
    of="StreamTransformer.sample",
    tolerance=0,
)
def test_samples_are_drawn_from_the_predicted_odds(agree, model):
    text, _ = stream()
    drawn = model.sample(text, torch.Generator().manual_seed(5))
    chance, tiles = torch.Generator().manual_seed(5), text[:, :0]
    for _ in range(16):
        odds = model.to_tile(model(text, tiles)[:, -1]).softmax(-1)
        tiles = torch.cat([tiles, odds.multinomial(1, generator=chance)], 1)
    agree(drawn, tiles)


def test_every_weight_has_a_gradient(model):
    text, tiles = stream()
    states = model(text, tiles)
    (model.to_tile(states).pow(2).mean() + model.to_word(states).pow(2).mean()).backward()
    assert all(weight.grad is not None for weight in model.parameters())


# Refusals


def refused(match, call, *args):
    with pytest.raises(ValueError, match=match):
        call(*args)


def test_bad_input_is_refused_by_name():
    refused("temperature is positive", gumbel_softmax, torch.zeros(3), 0.0)
    refused("codes >= 2", ImageTokenizer, 1)
    refused("kind is one of full, row", stream_mask, 5, 4, "diagonal")
    refused("words >= 1", stream_mask, 0, 4, "row")
    refused("needs a layer", StreamTransformer, ())
    refused("steps of 16", StreamTransformer, KINDS, 5, 6, 64, 40)
