use super::super::tests::{open_bytes, tensor_file};
use super::*;
use crate::tensor::DType;

fn weights() -> Weights {
    open_bytes(&tensor_file(&[
        ("unet.conv_in.weight", "F16", &[8, 4, 3, 3]),
        ("unet.conv_in.bias", "BF16", &[8]),
        ("unet.down_blocks.0.proj_in.weight", "F32", &[6, 5, 1, 1]),
        ("unet.down_blocks.1.proj_in.weight", "F32", &[6, 5]),
        ("unet.down_blocks.3.proj_in.weight", "F32", &[6, 5]),
        ("unet.down_blocks.10.proj_in.weight", "F8_E8M0", &[6, 5]),
        ("unet.mid_block.ids", "I64", &[1, 7]),
    ]))
    .unwrap()
}

#[test]
fn a_weight_has_its_full_name_shape_and_type() {
    let unet = weights().scope("unet");
    let weight = unet.scope("conv_in").get("weight", [8, 4, 3, 3]).unwrap();
    assert_eq!(&*weight.name, "unet.conv_in.weight");
    assert_eq!(weight.shape, Shape::from([8, 4, 3, 3]));
    assert_eq!(weight.dtype, DType::F16);
    assert_eq!(unet.get("conv_in.bias", [8]).unwrap().dtype, DType::Bf16);
    assert_eq!(
        weights()
            .scope("")
            .get("unet.conv_in.bias", [8])
            .unwrap()
            .shape,
        Shape::from([8])
    );
}

#[test]
fn a_convolution_of_one_pixel_is_a_linear_layer() {
    let blocks = weights().scope("unet.down_blocks");
    for n in 0..2 {
        let block = blocks.scope(n);
        assert_eq!(
            block.get("proj_in.weight", [6, 5]).unwrap().shape,
            Shape::from([6, 5])
        );
        assert_eq!(
            block.get("proj_in.weight", [6, 5, 1, 1]).unwrap().shape,
            Shape::from([6, 5, 1, 1])
        );
    }
    assert!(blocks.get("0.proj_in.weight", [5, 6]).is_err());
    assert!(blocks.get("0.proj_in.weight", [30]).is_err());
}

#[test]
fn a_wrong_shape_names_the_tensor_and_both_shapes() {
    let error = weights()
        .scope("unet")
        .get("conv_in.weight", [8, 9, 3, 3])
        .unwrap_err();
    assert!(matches!(error, Error::TensorMismatch { .. }));
    let error = error.to_string();
    for words in ["unet.conv_in.weight", "[8, 4, 3, 3]", "[8, 9, 3, 3]", "f16"] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn integers_are_no_weights() {
    let error = weights()
        .scope("unet.mid_block")
        .get("ids", [1, 7])
        .unwrap_err();
    assert!(matches!(error, Error::TensorMismatch { .. }));
    assert!(error.to_string().contains("i64"), "{error}");
    assert!(weights().param("unet.mid_block.ids").is_none());
}

#[test]
fn floats_that_are_exponents_alone_are_unsupported_and_say_so() {
    let error = weights()
        .scope("unet.down_blocks.10")
        .get("proj_in.weight", [6, 5])
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)));
    assert!(
        error
            .to_string()
            .contains("f8_e8m0; use an f16, bf16 or f32 version"),
        "{error}"
    );
}

#[test]
fn children_are_counted_up_to_the_first_gap() {
    let unet = weights().scope("unet");
    assert_eq!(unet.count("down_blocks"), 2);
    assert_eq!(unet.count("up_blocks"), 0);
}

#[test]
fn scopes_and_tensors_are_told_apart() {
    let unet = weights().scope("unet");
    assert_eq!(unet.path(), "unet");
    assert!(unet.has("conv_in.weight") && !unet.has("conv_in"));
    assert!(
        unet.has_scope("conv_in") && !unet.has_scope("conv_in.weight") && !unet.has_scope("conv")
    );
    assert_eq!(
        unet.shape("down_blocks.0.proj_in.weight").unwrap(),
        Shape::from([6, 5, 1, 1])
    );
    assert!(matches!(
        unet.shape("nothing"),
        Err(Error::MissingTensor { .. })
    ));
}

#[test]
fn a_scale_is_one_number_for_all_of_a_weight() {
    let scaled = |name: &str, dtype: &str, shape: &[usize]| {
        open_bytes(&tensor_file(&[
            ("unet.conv_in.weight", "F8_E4M3", &[8, 4]),
            (&format!("unet.conv_in.{name}"), dtype, shape),
        ]))
        .unwrap()
        .scope("unet.conv_in")
    };
    assert_eq!(scaled("bias", "F16", &[8]).weight_scale().unwrap(), 1.0);
    scaled("bias", "F16", &[8]).check_unscaled().unwrap();
    for name in ["scale_weight", "weight_scale"] {
        for shape in [&[][..], &[1]] {
            // The file is of zeros.
            assert_eq!(scaled(name, "F32", shape).weight_scale().unwrap(), 0.0);
        }
        for (dtype, shape) in [("F32", [8, 1]), ("F8_E8M0", [8, 2])] {
            let error = scaled(name, dtype, &shape).weight_scale().unwrap_err();
            assert!(error.to_string().contains("not one number"), "{error}");
        }
        let error = scaled(name, "F32", &[]).check_unscaled().unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
}
