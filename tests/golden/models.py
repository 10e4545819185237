"""Writes the tiny random models that the golden pictures are made with.

    python models.py --wheel open_clip_torch-3.3.0-py3-none-any.whl

writes data/models/: tiny_a.safetensors (LDM single file, f16), tiny_b.safetensors (LDM single file, bf16) and
tiny_c/ (diffusers folder, f32). Each has the structure of Stable Diffusion 1.x and weights drawn from a seed, scaled
so that activations stay of order one. The wheel is read for CLIP's list of merges only.
"""

import argparse
import gzip
import json
import math
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

DATA = Path(__file__).resolve().parent / "data"
MODELS = DATA / "models"
MAX_TOKENS = 77
MERGES_FILE = "open_clip/bpe_simple_vocab_16e6.txt.gz"
BYTES_AND_SPECIALS = 514  # 256 bytes, 256 bytes that end a word, start, end

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
DDIM = {"clip_sample": False, "set_alpha_to_one": False}

# Per model: the dtype it is stored in and what differs from Stable Diffusion 1.5.
SPECS = {
    # All of SD 1.5's structure, small: four levels, two layers, no attention at the bottom. Groups are of two channels or
    # more: with one, a norm would take away what the time embedding adds, and with one pixel it would be a sign function.
    "tiny_a": {
        "dtype": torch.float16,
        "unet": {
            "block_out_channels": [8, 16, 16, 16],
            "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            "layers_per_block": 2,
            "attention_head_dim": 4,  # diffusers' name; SD 1.x means the number of heads
            "cross_attention_dim": 40,
            "norm_num_groups": 4,
            "sample_size": 9,
        },
        "vae": {"block_out_channels": [8, 16, 16, 16], "layers_per_block": 2, "norm_num_groups": 4, "scaling_factor": 0.18215},
        "text_encoder": {"hidden_size": 40, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1024},
    },
    # Awkward widths: heads of 5 and 10, groups of 2, 3, 5 and 10 channels, attention on every level, a 4x VAE, another scaling factor.
    "tiny_b": {
        "dtype": torch.bfloat16,
        "unet": {
            "block_out_channels": [20, 40],
            "down_block_types": ["CrossAttnDownBlock2D"] * 2,
            "layers_per_block": 1,
            "attention_head_dim": 4,
            "cross_attention_dim": 36,
            "norm_num_groups": 4,
            "sample_size": 9,
        },
        "vae": {"block_out_channels": [8, 12, 12], "layers_per_block": 2, "norm_num_groups": 4, "scaling_factor": 0.31},
        "text_encoder": {"hidden_size": 36, "intermediate_size": 100, "num_hidden_layers": 3, "num_attention_heads": 3, "vocab_size": 700},
    },
    # A folder with its own tokenizer files.
    "tiny_c": {
        "dtype": torch.float32,
        "unet": {
            "block_out_channels": [8, 16, 16],
            "down_block_types": ["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"],
            "layers_per_block": 1,
            "attention_head_dim": 2,
            "cross_attention_dim": 32,
            "norm_num_groups": 4,
            "sample_size": 9,
        },
        "vae": {"block_out_channels": [8, 8, 12, 12], "layers_per_block": 1, "norm_num_groups": 4, "scaling_factor": 0.18215},
        "text_encoder": {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1024},
    },
}


# ---------------------------------------------------------------------------------------------- the networks


def build(spec):
    """A spec -> its three networks with diffusers' own (unseeded) weights, f32."""
    types = spec["unet"]["down_block_types"]
    unet = UNet2DConditionModel(
        **spec["unet"], up_block_types=[t.replace("Down", "Up") for t in reversed(types)], use_linear_projection=False
    )
    levels = len(spec["vae"]["block_out_channels"])
    vae = AutoencoderKL(
        **spec["vae"],
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        latent_channels=4,
        sample_size=spec["unet"]["sample_size"] * 2 ** (levels - 1),
    )
    vocab_size = spec["text_encoder"]["vocab_size"]
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            **spec["text_encoder"],
            hidden_act="quick_gelu",
            max_position_embeddings=MAX_TOKENS,
            projection_dim=spec["text_encoder"]["hidden_size"],
            bos_token_id=vocab_size - 2,
            eos_token_id=vocab_size - 1,
            pad_token_id=vocab_size - 1,
        )
    )
    return {"unet": unet.eval(), "vae": vae.eval(), "text_encoder": text_encoder.eval()}


# Names whose weights are drawn wider or narrower than 1/sqrt(fan in).
GAINS = {
    "to_q": 1.5,  # sharper attention than the nearly even weights of plain random q and k
    "to_k": 1.5,
    "q_proj": 1.5,
    "k_proj": 1.5,
    "unet.conv_out": 0.4,  # guidance of 7 multiplies it: keeps a run from amplifying rounding errors
    "decoder.conv_out": 0.5,  # most pixels inside [-1, 1], some outside so that clamping is seen
    "vae.post_quant_conv": 0.1,  # a random unet leaves latents of about ten: bring them back to one
}


def draw(name, like):
    """Normal values for the tensor `name`, from a seed that depends on the name alone."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    value = torch.randn(like.shape, generator=generator)
    if name.endswith(".bias"):
        return value * 0.1
    if like.ndim == 1:  # a norm's weight
        return 1.0 + value * 0.2
    if "_embedding.weight" in name:
        return value * 0.5
    gain = math.prod(g for part, g in GAINS.items() if part in name)
    return value * gain / math.sqrt(like[0].numel())


def state_dict(model, part, network, dtype):
    """The weights of one part, named as in a published checkpoint and rounded to `dtype`."""
    named = {}
    for name, tensor in network.state_dict().items():
        if part == "text_encoder" and not name.startswith("text_model."):
            name = "text_model." + name  # transformers 5 leaves this out; every SD 1.x file has it
        named[name] = draw(f"{model}.{part}.{name}", tensor).to(dtype)
    return named


# ---------------------------------------------------------------------------------------------- LDM names

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
UNET_ENDS = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
             "conv_norm_out": "out.0", "conv_out": "out.2", "mid_block.resnets.0": "middle_block.0",
             "mid_block.attentions.0": "middle_block.1", "mid_block.resnets.1": "middle_block.2"}  # fmt: skip
VAE_MID = {"mid_block.resnets.0": "mid.block_1", "mid_block.resnets.1": "mid.block_2", "mid_block.attentions.0": "mid.attn_1",
           "conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out"}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_blocks(config):
    """The diffusers block names of a unet -> its LDM block names."""
    blocks = dict(UNET_ENDS)
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    for level in range(levels):
        first = level * (layers + 1)  # a level has `layers` blocks and its down- or upsampler, or one block more going up
        for layer in range(layers):
            blocks[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{first + layer + 1}.0"
            blocks[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{first + layer + 1}.1"
        blocks[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{first + layers + 1}.0.op"
        for layer in range(layers + 1):
            blocks[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{first + layer}.0"
            blocks[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{first + layer}.1"
        after_attention = "CrossAttn" in config["down_block_types"][levels - 1 - level]
        blocks[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{first + layers}.{2 if after_attention else 1}.conv"
    return blocks


def ldm_unet(weights, config):
    blocks, out = unet_blocks(config), {}
    for name, tensor in weights.items():
        block = next(b for b in sorted(blocks, key=len, reverse=True) if name.startswith(b + "."))
        rest = name.removeprefix(block + ".")
        if ".resnets." in name:
            layer, _, leaf = rest.rpartition(".")
            rest = f"{RESNET[layer]}.{leaf}"
        out[f"model.diffusion_model.{blocks[block]}.{rest}"] = tensor
    return out


def ldm_vae(weights, config):
    levels, out = len(config["block_out_channels"]), {}
    for name, tensor in weights.items():
        part = name.split(".")
        if part[1] in ("down_blocks", "up_blocks"):
            down = part[1] == "down_blocks"
            level = int(part[2]) if down else levels - 1 - int(part[2])  # LDM counts from the picture on both sides
            kind = f"block.{part[4]}" if part[3] == "resnets" else ("downsample" if down else "upsample")
            part = [part[0], "down" if down else "up", str(level), kind, *part[5:]]
        renamed = ".".join(part)
        for ours, theirs in VAE_MID.items():
            renamed = renamed.replace(ours, theirs)
        if "attn_1" in renamed:
            for ours, theirs in VAE_ATTENTION.items():
                renamed = renamed.replace(f".{ours}.", f".{theirs}.")
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor  # 1x1 convolutions there
        out[f"first_stage_model.{renamed}"] = tensor
    return out


# ---------------------------------------------------------------------------------------------- files

DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int32: "I32", torch.uint8: "U8",
          torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}  # fmt: skip


def save(path, tensors, metadata):
    """Writes a safetensors file with sorted metadata: the library's own order changes from run to run."""
    names = sorted(tensors, key=lambda n: (-tensors[n].element_size(), n))
    header, offset, parts = {"__metadata__": dict(sorted(metadata.items()))}, 0, []
    for name in names:
        tensor = tensors[name].contiguous()
        raw = tensor.flatten().view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
        parts.append(raw)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def network_config(network):
    """The configuration as save_pretrained writes it, without what depends on the place."""
    text = network.to_json_string() if hasattr(network, "to_json_string") else network.config.to_json_string(use_diff=False)
    config = json.loads(text)
    config.pop("_name_or_path", None)
    return config


def save_single_file(model, spec, networks):
    parts = {part: state_dict(model, part, network, spec["dtype"]) for part, network in networks.items()}
    tensors = ldm_unet(parts["unet"], spec["unet"]) | ldm_vae(parts["vae"], spec["vae"])
    tensors |= {f"cond_stage_model.transformer.{name}": tensor for name, tensor in parts["text_encoder"].items()}
    assert len(tensors) == sum(len(part) for part in parts.values()), "two weights got one name"
    config = {  # what shapes cannot tell, as in the demo model's file
        "unet": {k: v for k, v in spec["unet"].items() if k != "down_block_types"},
        "vae": spec["vae"] | {"latent_channels": 4, "sample_size": networks["vae"].config.sample_size},
        "text_encoder": spec["text_encoder"] | {"hidden_act": "quick_gelu", "max_position_embeddings": MAX_TOKENS},
    }
    metadata = {
        "format": "pt",
        "modelspec.title": model,
        "modelspec.architecture": "stable-diffusion-v1 (tiny)",
        "modelspec.prediction_type": "epsilon",
        "modelspec.description": "Random weights for tests; makes no pictures of anything",
        "config": json.dumps(config),
    }
    save(MODELS / f"{model}.safetensors", tensors, metadata)


def save_folder(model, spec, networks, merges):
    folder = MODELS / model
    shutil.rmtree(folder, ignore_errors=True)
    for part, network in networks.items():
        name = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        save(folder / part / f"{name}.safetensors", state_dict(model, part, network, spec["dtype"]), {"format": "pt"})
        write_json(folder / part / "config.json", network_config(network))
    write_tokenizer(folder / "tokenizer", spec["text_encoder"]["vocab_size"], merges)
    write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "DDIMScheduler", "timestep_spacing": "leading"} | SCHEDULER | DDIM)
    index = {part: ["diffusers", type(networks[part]).__name__] for part in ("unet", "vae")}
    index |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    index |= {"_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "DDIMScheduler"], "requires_safety_checker": False}
    index |= {part: [None, None] for part in ("safety_checker", "feature_extractor", "image_encoder")}
    write_json(folder / "model_index.json", index)


# ---------------------------------------------------------------------------------------------- tokenizer


def read_merges(wheel):
    text = gzip.decompress(zipfile.ZipFile(wheel).read(MERGES_FILE)).decode()
    return text.split("\n")[1:]


def byte_characters():
    """CLIP's printable character for each byte, in the order of its vocabulary (as GPT-2's bytes_to_unicode)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def write_tokenizer(folder, vocab_size, merges):
    """CLIP's tokenizer cut to its first merges: bytes, bytes that end a word, merges, start, end."""
    merges = merges[: vocab_size - BYTES_AND_SPECIALS]
    characters = byte_characters()
    vocab = characters + [c + "</w>" for c in characters] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(vocab)) == vocab_size, "the list of merges is too short, or repeats itself"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocab)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    end = "<|endoftext|>"
    special = {"bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end}
    write_json(folder / "tokenizer_config.json", special | {"pad_token": end, "model_max_length": MAX_TOKENS, "tokenizer_class": "CLIPTokenizer",
               "add_prefix_space": False, "do_lower_case": True, "errors": "replace"})  # fmt: skip
    plain = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    write_json(folder / "special_tokens_map.json", {k: {"content": v} | plain for k, v in special.items()} | {"pad_token": end})


# ---------------------------------------------------------------------------------------------- reading back


def read_single_file(model):
    """The networks of a single file, by diffusers' own reading of LDM names, so that ours is checked by it."""
    networks = build(SPECS[model])
    tensors = {name: tensor.float() for name, tensor in load_file(MODELS / f"{model}.safetensors").items()}
    networks["unet"].load_state_dict(convert_ldm_unet_checkpoint(dict(tensors), dict(networks["unet"].config)))
    networks["vae"].load_state_dict(convert_ldm_vae_checkpoint(dict(tensors), dict(networks["vae"].config)))
    prefix = "cond_stage_model.transformer.text_model."
    networks["text_encoder"].load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    return networks


def read_folder(folder):
    """The networks of a diffusers folder, upcast to f32."""
    folder = Path(folder)
    return {
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval(),
        "vae": AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval(),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval(),
    }


def read_tokenizer(folder):
    return CLIPTokenizer.from_pretrained(folder, model_max_length=MAX_TOKENS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", required=True, type=Path, help="open_clip_torch's wheel, for CLIP's merges")
    merges = read_merges(parser.parse_args().wheel)
    torch.set_num_threads(1)
    for model, spec in SPECS.items():
        networks = build(spec)
        if model == "tiny_c":
            save_folder(model, spec, networks, merges)
        else:
            save_single_file(model, spec, networks)
        count = sum(p.numel() for network in networks.values() for p in network.parameters())
        print(f"{model}: {count} parameters")


if __name__ == "__main__":
    main()
