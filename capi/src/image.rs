//! Pictures.

use crate::border::{self, Outcome, give, guard, handle, owned, put, text};
use crate::error::AquatintError;
use aquatint::Image;
use std::ffi::{CString, c_char};
use std::path::Path;
use std::ptr;
use std::slice;

/// A picture: 8-bit RGBA in sRGB, rows from the top, with the texts that its file carries.
#[derive(Debug)]
pub struct AquatintImage(pub(crate) Image);

/// The pictures of a request, and what its user should know.
#[derive(Debug)]
pub struct AquatintImages {
    images: Vec<AquatintImage>,
    warnings: Vec<CString>,
}

impl AquatintImages {
    pub(crate) fn new(images: Vec<Image>, warnings: Vec<String>) -> Self {
        Self {
            images: images.into_iter().map(AquatintImage).collect(),
            warnings: warnings.into_iter().flat_map(CString::new).collect(),
        }
    }
}

/// How many pictures there are; 0 of null.
///
/// # Safety
/// `images` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_images_count(images: *const AquatintImages) -> usize {
    // SAFETY: as the caller promises.
    let images = unsafe { images.as_ref() };
    images.map_or(0, |images| images.images.len())
}

/// A picture by its place, from 0; null beyond the last. It belongs to `images` and goes with them: it is
/// not to be freed.
///
/// # Safety
/// `images` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_images_get(
    images: *const AquatintImages,
    index: usize,
) -> *const AquatintImage {
    // SAFETY: as the caller promises.
    let images = unsafe { images.as_ref() };
    let image = images.and_then(|images| images.images.get(index));
    image.map_or(ptr::null(), ptr::from_ref)
}

/// Something that the user should know of the run, such as where the prompt was cut; null beyond the
/// last. The text belongs to `images`.
///
/// # Safety
/// `images` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_images_warning(
    images: *const AquatintImages,
    index: usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    let images = unsafe { images.as_ref() };
    let warning = images.and_then(|images| images.warnings.get(index));
    warning.map_or(ptr::null(), |warning| warning.as_ptr())
}

/// Frees pictures, and those that aquatint_images_get gave of them; nothing of null.
///
/// # Safety
/// `images` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_images_free(images: *mut AquatintImages) {
    // SAFETY: as the caller promises.
    unsafe { border::free(images) };
}

/// Reads a PNG, JPEG or WebP file. The picture is the caller's to free.
///
/// # Safety
/// `path` is null or ends in a zero; `image` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_open(
    path: *const c_char,
    image: *mut *mut AquatintImage,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let path = unsafe { text("path", path) }?;
        Ok(AquatintImage(Image::open(path)?))
    };
    // SAFETY: as the caller promises.
    unsafe { give(image, work) }
}

/// A picture of `4 * width * height` bytes, which are copied. The picture is the caller's to free.
///
/// # Safety
/// `pixels` is null or holds so many bytes; `image` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_from_rgba(
    width: usize,
    height: usize,
    pixels: *const u8,
    image: *mut *mut AquatintImage,
) -> *mut AquatintError {
    let work = || {
        if pixels.is_null() {
            return Err(AquatintError::argument("pixels", "is null"));
        }
        let count = width.checked_mul(height);
        let length = count.and_then(|count| count.checked_mul(4));
        let length = length.filter(|length| isize::try_from(*length).is_ok());
        let length = length.ok_or_else(|| AquatintError::argument("width", "is too large"))?;
        // SAFETY: as the caller promises; no object is larger.
        let pixels = unsafe { slice::from_raw_parts(pixels, length) };
        Ok(AquatintImage(Image::from_rgba(
            width,
            height,
            pixels.to_vec(),
        )?))
    };
    // SAFETY: as the caller promises.
    unsafe { give(image, work) }
}

/// The width in pixels; 0 of null.
///
/// # Safety
/// `image` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_width(image: *const AquatintImage) -> usize {
    // SAFETY: as the caller promises.
    let image = unsafe { image.as_ref() };
    image.map_or(0, |image| image.0.width())
}

/// The height in pixels; 0 of null.
///
/// # Safety
/// `image` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_height(image: *const AquatintImage) -> usize {
    // SAFETY: as the caller promises.
    let image = unsafe { image.as_ref() };
    image.map_or(0, |image| image.0.height())
}

/// The pixels: `4 * width * height` bytes, red, green, blue and alpha, rows from the top; null of null.
/// They belong to the picture.
///
/// # Safety
/// `image` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_pixels(image: *const AquatintImage) -> *const u8 {
    // SAFETY: as the caller promises.
    let image = unsafe { image.as_ref() };
    image.map_or(ptr::null(), |image| image.0.pixels().as_ptr())
}

/// The text that a picture carries under a keyword, to be freed by the caller; null where there is none.
/// "aquatint" is the request that made it as JSON, "parameters" the same as A1111 writes it.
///
/// # Safety
/// `image` is null or was not freed; `keyword` is null or ends in a zero; `value` is null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_text(
    image: *const AquatintImage,
    keyword: *const c_char,
    value: *mut *mut c_char,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let (image, keyword) = unsafe { (handle("image", image)?, text("keyword", keyword)?) };
        image.0.text(keyword).map_or(Ok(ptr::null_mut()), owned)
    };
    // SAFETY: as the caller promises.
    unsafe { put(value, ptr::null_mut(), work) }
}

/// Writes a new PNG file, texts included, as the program would; a file that exists is left alone, and the
/// call fails. The file appears whole or not at all.
///
/// # Safety
/// `image` is null or was not freed; `path` is null or ends in a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_save(
    image: *const AquatintImage,
    path: *const c_char,
) -> *mut AquatintError {
    // SAFETY: as the caller promises.
    guard(|| unsafe { save(image, path, Image::save) })
}

/// Writes a PNG file as aquatint_image_save does, in the place of one that exists.
///
/// # Safety
/// As for aquatint_image_save.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_save_over(
    image: *const AquatintImage,
    path: *const c_char,
) -> *mut AquatintError {
    // SAFETY: as the caller promises.
    guard(|| unsafe { save(image, path, Image::save_over) })
}

/// # Safety
/// As for aquatint_image_save.
unsafe fn save<'a>(
    image: *const AquatintImage,
    path: *const c_char,
    write: impl FnOnce(&'a Image, &'a Path) -> aquatint::Result<()>,
) -> Outcome {
    // SAFETY: as the caller promises.
    let (image, path) = unsafe { (handle("image", image)?, text("path", path)?) };
    Ok(write(&image.0, Path::new(path))?)
}

/// Frees a picture that was given by itself; nothing of null.
///
/// # Safety
/// `image` is null, or was not freed and is not one of an AquatintImages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_image_free(image: *mut AquatintImage) {
    // SAFETY: as the caller promises.
    unsafe { border::free(image) };
}
