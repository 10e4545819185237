"""The tiny random models of the families beside Stable Diffusion 1.x, and their files.

A model is a dict of diffusers' networks with weights drawn by name (models.draw) and rounded to f16. `single_file` gives
the names of the original training code: OpenCLIP's text encoders with fused projections among them.
"""

from types import SimpleNamespace

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import models

VOCAB = 1024
GROUPS = {"norm_num_groups": 4}
VAE = {"block_out_channels": [8, 12, 12], "layers_per_block": 1, "norm_num_groups": 4}
CLIP_L = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "hidden_act": "quick_gelu"}
OPEN_CLIP = {"hidden_size": 40, "intermediate_size": 72, "num_hidden_layers": 3, "num_attention_heads": 5, "hidden_act": "gelu"}
POOLED = 24  # no square: a projection that is not transposed would not load
CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"


def xl_unet(context, time_ids):
    """SDXL's structure: no attention at the finest level, deeper transformers below, linear projections, added conditions."""
    return GROUPS | {
        "block_out_channels": [8, 16, 24],
        "down_block_types": [PLAIN, CROSS, CROSS],
        "layers_per_block": 2,
        "transformer_layers_per_block": [1, 1, 2],
        "attention_head_dim": [1, 2, 3],  # heads, in diffusers
        "cross_attention_dim": context,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": POOLED + 8 * time_ids,
        "sample_size": 13,
    }


SD1_UNET = GROUPS | {
    "block_out_channels": [8, 16],
    "down_block_types": [CROSS, CROSS],
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 32,
    "sample_size": 9,
}
SD2_UNET = GROUPS | {
    "block_out_channels": [8, 16, 24],
    "down_block_types": [CROSS, CROSS, PLAIN],
    "layers_per_block": 1,
    "attention_head_dim": [1, 2, 3],
    "cross_attention_dim": 40,
    "use_linear_projection": True,
    "sample_size": 11,
}
# diffusers leaves out the last layer of Stable Diffusion 2's text encoder; the single file has it.
SD2 = {"unet": SD2_UNET, "vae": VAE | {"scaling_factor": 0.18215}, "text_encoder": OPEN_CLIP}
SSD_UNET = xl_unet(72, 6) | {
    "transformer_layers_per_block": [1, [2, 1], [1, 2]],
    "reverse_transformer_layers_per_block": [[1, 3, 2], [2, 1, 1], 1],
    "mid_block_type": "UNetMidBlock2D",
}
XL_VAE = VAE | {"scaling_factor": 0.13025}

SPECS = {
    "tiny_sd2": SD2,
    "tiny_sd2_ztsnr": SD2,
    "tiny_xl": {"unet": xl_unet(72, 6), "vae": XL_VAE, "text_encoder": CLIP_L, "text_encoder_2": OPEN_CLIP},
    "tiny_refiner": {"unet": xl_unet(40, 5), "vae": XL_VAE, "text_encoder_2": OPEN_CLIP},
    "tiny_lcm": {"unet": SD1_UNET | {"time_cond_proj_dim": 16}, "vae": SD2["vae"], "text_encoder": CLIP_L},
    "tiny_inpaint": {"unet": SD1_UNET | {"in_channels": 9}, "vae": SD2["vae"], "text_encoder": CLIP_L},
    "tiny_instruct": {"unet": SD1_UNET | {"in_channels": 8}, "vae": SD2["vae"], "text_encoder": CLIP_L},
    # SSD-1B's structure (Gupta et al. 2024): transformers of different depths in a level, one residual block in the middle.
    "tiny_ssd": {"unet": SSD_UNET, "vae": XL_VAE, "text_encoder": CLIP_L, "text_encoder_2": OPEN_CLIP},
    # BK-SDM's structure (Kim et al. 2023): one layer a level, nothing in the middle.
    "tiny_fp8": {"unet": SD1_UNET, "vae": SD2["vae"], "text_encoder": CLIP_L},
    "tiny_bksdm": {"unet": SD1_UNET | {"mid_block_type": None}, "vae": SD2["vae"], "text_encoder": CLIP_L},
}


def draw(part, network):
    """Draws a network's weights, rounded to f16."""
    state = network.state_dict()
    named = {name: models.draw(f"family.{part}.{name}", value).half().float() for name, value in state.items()}
    network.load_state_dict(named)
    return network.eval()


def build(spec):
    """A spec -> its networks in f32."""
    unet, vae = dict(spec["unet"]), spec["vae"]
    types = unet["down_block_types"]
    unet.setdefault("mid_block_type", "UNetMidBlock2DCrossAttn")
    unet = UNet2DConditionModel(**unet, up_block_types=[t.replace("Down", "Up") for t in reversed(types)])
    levels = len(vae["block_out_channels"])
    vae = AutoencoderKL(**vae, latent_channels=4, down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels)
    networks = {"unet": unet, "vae": vae}
    for part in ("text_encoder", "text_encoder_2"):
        if part in spec:
            kind = CLIPTextModelWithProjection if part == "text_encoder_2" else CLIPTextModel
            ids = {"bos_token_id": VOCAB - 2, "eos_token_id": VOCAB - 1, "pad_token_id": VOCAB - 1}
            config = CLIPTextConfig(**spec[part], **ids, vocab_size=VOCAB, max_position_embeddings=models.MAX_TOKENS, projection_dim=POOLED)
            networks[part] = kind(config)
    return {part: draw(part, network) for part, network in networks.items()}


def text_names(network):
    """A text encoder's weights under the names that published files have."""
    bare = ("text_model.", "text_projection.")
    return {(name if name.startswith(bare) else f"text_model.{name}"): value for name, value in network.state_dict().items()}


OPEN_CLIP_ENDS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
OPEN_CLIP_LAYER = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}


def open_clip(network):
    """A text encoder's weights in OpenCLIP's names: q, k and v in one, the projection from the other side."""
    theirs, ours = {}, text_names(network)
    for name, value in ours.items():
        if name in OPEN_CLIP_ENDS:
            theirs[OPEN_CLIP_ENDS[name]] = value
        elif name == "text_projection.weight":
            theirs["text_projection"] = value.T
        elif ".q_proj." in name:
            layer, leaf = name.split(".self_attn.q_proj.")
            fused = torch.cat([ours[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"])
            theirs[f"transformer.resblocks.{layer.split('.')[-1]}.attn.in_proj_{leaf}"] = fused
        elif ".layers." in name and ".k_proj." not in name and ".v_proj." not in name:
            number, rest = name.split(".layers.")[1].split(".", 1)
            layer, leaf = rest.rsplit(".", 1)
            theirs[f"transformer.resblocks.{number}.{OPEN_CLIP_LAYER[layer]}.{leaf}"] = value
    return theirs | {"logit_scale": torch.tensor(4.6)}


def sd2_text_encoder(network):
    """OpenCLIP's names with the layer that diffusers leaves out, and with the projection that nobody uses."""
    theirs = open_clip(network)
    last = max(int(name.split(".")[2]) for name in theirs if name.startswith("transformer.resblocks."))
    for name in [n for n in theirs if n.startswith(f"transformer.resblocks.{last}.")]:
        theirs[name.replace(f".{last}.", f".{last + 1}.", 1)] = theirs[name] * 0.5
    width = theirs["ln_final.bias"].shape[0]
    return theirs | {"text_projection": models.draw("unused", torch.empty(width, width))}


OPEN_CLIP_TEXT = {"text_encoder": ("cond_stage_model.model.", sd2_text_encoder)}
TEXT_PREFIXES = {
    "tiny_sd2": OPEN_CLIP_TEXT,
    "tiny_sd2_ztsnr": OPEN_CLIP_TEXT,
    "tiny_xl": {"text_encoder": ("conditioner.embedders.0.transformer.", text_names), "text_encoder_2": ("conditioner.embedders.1.model.", open_clip)},
    "tiny_refiner": {"text_encoder_2": ("conditioner.embedders.0.model.", open_clip)},
}
TEXT_PREFIXES["tiny_ssd"] = TEXT_PREFIXES["tiny_xl"]
PLAIN_TEXT = {"text_encoder": ("cond_stage_model.transformer.", text_names)}
ADD_EMBEDDING = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}


def ldm_unet(network, config):
    named, out = {}, {}
    for name, value in network.state_dict().items():
        layer, _, leaf = name.rpartition(".")
        if layer in ADD_EMBEDDING:
            out[f"model.diffusion_model.{ADD_EMBEDDING[layer]}.{leaf}"] = value
        elif layer == "time_embedding.cond_proj":
            out[f"model.diffusion_model.{name}"] = value
        else:
            named[name] = value
    return out | models.ldm_unet(named, config)


def single_file(name, networks):
    """All tensors of a single file, in f16."""
    spec = SPECS[name]
    tensors = ldm_unet(networks["unet"], spec["unet"]) | models.ldm_vae(networks["vae"].state_dict(), spec["vae"])
    for part, (prefix, names) in TEXT_PREFIXES.get(name, PLAIN_TEXT).items():
        tensors |= {f"{prefix}{inner}": value for inner, value in names(networks[part]).items()}
    if name == "tiny_fp8":  # ComfyUI's word for scaled weights
        tensors["model.diffusion_model.scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    return {key: value if is_quantised(key, value) else value.half() for key, value in tensors.items()}


def is_quantised(key, value):
    return value.element_size() == 1 or key.endswith(".scale_weight")


def quantise(networks):
    """Rounds weights to eight bits, in place -> the same networks as they are stored: the UNet's windows as they are and its
    matrices scaled by tensor (ComfyUI's `scaled_fp8`: weight = stored · scale_weight), all of the text encoder in e5m2."""
    stored = {}
    for part, network in networks.items():
        found, values = {}, {}
        for key, value in network.state_dict().items():
            scale = value.abs().max() / 448 if part == "unet" and value.ndim == 2 else None
            if scale is not None:
                found[key] = (value / scale).to(torch.float8_e4m3fn)
                found[key.removesuffix("weight") + "scale_weight"] = scale
                values[key] = found[key].float() * scale
            elif part == "text_encoder" or part == "unet" and value.ndim == 4:
                found[key] = value.to(torch.float8_e4m3fn if part == "unet" else torch.float8_e5m2)
                values[key] = found[key].float()
            else:
                found[key] = values[key] = value
        network.load_state_dict(values)
        stored[part] = SimpleNamespace(state_dict=lambda found=found: found)
    return stored


def config_entry(name, scheduler):
    """What shapes cannot tell at these sizes, and would in a full-size file."""
    spec = SPECS[name]
    entry = {"unet": {k: v for k, v in spec["unet"].items() if k in ("attention_head_dim", "norm_num_groups", "sample_size")}}
    entry["vae"] = {k: spec["vae"][k] for k in ("norm_num_groups", "scaling_factor")}
    for part in ("text_encoder", "text_encoder_2"):
        if part in spec:
            entry[part] = {"num_attention_heads": spec[part]["num_attention_heads"]}
    return entry | ({"scheduler": scheduler} if scheduler else {})
