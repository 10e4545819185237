// aquatint's C interface. Made from capi/src by `cargo xtask header`: change it there.
//
// Errors. A function that can fail returns an AquatintError, or null where nothing failed. The error is
// the caller's to free. Its code says what can be done, its message is for people. The result goes
// through the last argument, which holds null after a failure.
//
// Ownership. What a function gives as a handle or a text is freed by the function of its kind, once;
// freeing null does nothing. A pipeline keeps the device that it needs, whatever is freed first. What is
// said to belong to something else goes with it. A null that a function does not allow is an error.
//
// Threads. Every handle may go from thread to thread, and several threads may use one at once, as long
// as none of them frees it. Callbacks come on the thread that called. There is no global state.
//
// Texts are UTF-8 and end in a zero. Requests and options are JSON: fields may be left out, and unknown
// ones are refused.
//
// Versions. What is here stays as long as AQUATINT_ABI_VERSION does; functions, codes of errors and
// fields at the end of structures that the library hands to callbacks may be added. No Rust panic leaves
// the library: it comes as AQUATINT_ERROR_CODE_PANIC.

#ifndef AQUATINT_H
#define AQUATINT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The number of this interface. It changes when a program that was compiled against an older header
// would break; what is only added does not change it.
#define AQUATINT_ABI_VERSION 1

// Why a call failed. Read it with aquatint_error_code and aquatint_error_message, and free it.
typedef struct AquatintError AquatintError;

// Where pictures are made. What is made from it keeps what it needs: it may be freed at any time.
typedef struct AquatintDevice AquatintDevice;

// Calls off what it was given to: the call returns AQUATINT_ERROR_CODE_CANCELLED, at the latest when what
// the device is at is done. What was called off stays so; take a new one for the next call.
typedef struct AquatintCanceller AquatintCanceller;

// A model with its weights on a device. Several threads may use one at once.
typedef struct AquatintPipeline AquatintPipeline;

// A picture: 8-bit RGBA in sRGB, rows from the top, with the texts that its file carries.
typedef struct AquatintImage AquatintImage;

// The pictures of a request, and what its user should know.
typedef struct AquatintImages AquatintImages;

// An upscaling network with its weights on a device.
typedef struct AquatintUpscaler AquatintUpscaler;

// What went wrong, by what can be done about it. Later versions may have more.
typedef uint32_t AquatintErrorCode;
enum {
    // Nothing did: the code of no error.
    AQUATINT_ERROR_CODE_NONE = 0,
    // An argument is null, no UTF-8, or beyond the end: the caller's bug.
    AQUATINT_ERROR_CODE_ARGUMENT = 1,
    // A field of a request or an option is unknown or out of range.
    AQUATINT_ERROR_CODE_REQUEST = 2,
    // The callback asked to stop.
    AQUATINT_ERROR_CODE_CANCELLED = 3,
    // No graphics adapter answers, or none is of that name.
    AQUATINT_ERROR_CODE_NO_ADAPTER = 4,
    // The device has too little memory for what was asked: take a smaller size.
    AQUATINT_ERROR_CODE_OUT_OF_MEMORY = 5,
    // The device stopped answering: open it and load the pipeline again.
    AQUATINT_ERROR_CODE_DEVICE_LOST = 6,
    // The driver refused a command.
    AQUATINT_ERROR_CODE_GPU = 7,
    // A file could not be read or written.
    AQUATINT_ERROR_CODE_IO = 8,
    // A file is damaged, or is not what it should be.
    AQUATINT_ERROR_CODE_BAD_FILE = 9,
    // A model of a kind that is not known, or that lacks something.
    AQUATINT_ERROR_CODE_UNKNOWN_MODEL = 10,
    // Values came out that are no numbers.
    AQUATINT_ERROR_CODE_NOT_FINITE = 11,
    // What exists, but not here or not yet.
    AQUATINT_ERROR_CODE_UNSUPPORTED = 12,
    // A panic: a bug in aquatint. The handles of the call should be freed and not used again.
    AQUATINT_ERROR_CODE_PANIC = 13,
    // Another reason, which the message says.
    AQUATINT_ERROR_CODE_OTHER = 14,
};

// How far the loading of weights is.
typedef struct AquatintLoadProgress {
    // Bytes of weights on the device.
    uint64_t done_bytes;
    // Bytes of all weights that will be there.
    uint64_t total_bytes;
} AquatintLoadProgress;

// A step that is done.
typedef struct AquatintStep {
    // Its number, from 0.
    size_t index;
    // How many steps there are, of all pictures where they are drawn in turn.
    size_t count;
    // The noise level at which the step began.
    double sigma;
} AquatintStep;

// What a request takes on the device, in bytes.
typedef struct AquatintMemory {
    // The weights of all parts, as stored.
    uint64_t weight_bytes;
    // The activations of all parts.
    uint64_t activation_bytes;
    // The most that is on the device at once: less than both where parts take turns.
    uint64_t resident_bytes;
} AquatintMemory;

// A tile that is done.
typedef struct AquatintTile {
    // How many are done.
    size_t done;
    // How many there are.
    size_t count;
} AquatintTile;

// Hears how far the loading is, on the thread that loads. May be null. It must return: no exception and
// no longjmp may leave it.
typedef void (*AquatintLoadCallback)(const AquatintLoadProgress *progress, void *user_data);

// Hears of a step that is done, on the thread that generates. Anything but 0 cancels. May be null. It
// must return: no exception and no longjmp may leave it.
typedef int (*AquatintStepCallback)(const AquatintStep *step, void *user_data);

// Hears of a tile that is done, on the thread that enlarges. Anything but 0 cancels. May be null. It must
// return: no exception and no longjmp may leave it.
typedef int (*AquatintTileCallback)(const AquatintTile *tile, void *user_data);

// The number of the interface that the library has: a program compares it with
// AQUATINT_ABI_VERSION where it may meet another library than it was compiled for.
uint32_t aquatint_abi_version(void);

// aquatint's version, such as "0.1.0". The text is never freed.
const char *aquatint_version(void);

// The code of an error; AQUATINT_ERROR_CODE_NONE of null.
//
// Provided that:
// `error` is null, or an error that was not freed.
AquatintErrorCode aquatint_error_code(const AquatintError *error);

// What was expected, what was found and what to do, in UTF-8; null of null. The text is the error's:
// it is there until the error is freed.
//
// Provided that:
// `error` is null, or an error that was not freed.
const char *aquatint_error_message(const AquatintError *error);

// Frees an error; nothing of null.
//
// Provided that:
// `error` is null, or an error that was not freed.
void aquatint_error_free(AquatintError *error);

// Frees a text that a function gave; nothing of null.
//
// Provided that:
// `text` is null, or a text to be freed that was not.
void aquatint_string_free(char *text);

// Every graphics adapter that answers, the best first, as a JSON array of objects with `index`, `name`,
// `backend`, `kind`, `software`, `driver`, `features` and `limits`. The text is the caller's to free.
//
// Provided that:
// `json` is null or can be written.
AquatintError *aquatint_adapters(char **json);

// Opens the adapter with that index or that part of its name; the best one where `adapter` is null; the
// CPU interpreter, slow but there on every machine, where it is "reference".
//
// Provided that:
// `adapter` is null or ends in a zero; `device` is null or can be written.
AquatintError *aquatint_device_open(const char *adapter, AquatintDevice **device);

// What a device is and can do, as an object like those of aquatint_adapters. The text is the caller's
// to free.
//
// Provided that:
// `device` is null or was not freed; `json` is null or can be written.
AquatintError *aquatint_device_info(const AquatintDevice *device, char **json);

// Frees a device; nothing of null.
//
// Provided that:
// `device` is null or was not freed.
void aquatint_device_free(AquatintDevice *device);

// A canceller that was not used yet.
//
// Provided that:
// `canceller` is null or can be written.
AquatintError *aquatint_canceller_new(AquatintCanceller **canceller);

// Calls off, from any thread, what was given the canceller, or will be; nothing of null.
//
// Provided that:
// `canceller` is null or was not freed.
void aquatint_canceller_cancel(const AquatintCanceller *canceller);

// Frees a canceller, which calls nothing off; nothing of null. Calls that were given it go on.
//
// Provided that:
// `canceller` is null or was not freed.
void aquatint_canceller_free(AquatintCanceller *canceller);

// Loads a model: a `.safetensors` file or a diffusers folder; or null, where `options` give all parts.
//
// `options` is null or a JSON object, every field of which may be left out: `vram_bytes`, the most of
// the device's memory to use; `unet`, `vae`, `text_encoder` and `text_encoder_2`, files in place of the
// model's own parts; `refiner`, a model that does the last steps. `canceller` may be null; it calls the
// loading off, which leaves nothing on the device then. Pipelines of the same file share its weights.
//
// Provided that:
// `device` and `canceller` are null or were not freed; texts are null or end in a zero; `pipeline` is null
// or can be written.
AquatintError *aquatint_pipeline_load(
    const AquatintDevice *device,
    const char *model,
    const char *options,
    const AquatintCanceller *canceller,
    AquatintLoadCallback progress,
    void *user_data,
    AquatintPipeline **pipeline);

// Loads the small model inside the library: 128 x 128 pixels, emoji. Fails with
// AQUATINT_ERROR_CODE_UNSUPPORTED where the library was built without it. Options, canceller, callback and
// result are as in aquatint_pipeline_load.
//
// Provided that:
// As for aquatint_pipeline_load.
AquatintError *aquatint_pipeline_load_demo(
    const AquatintDevice *device,
    const char *options,
    const AquatintCanceller *canceller,
    AquatintLoadCallback progress,
    void *user_data,
    AquatintPipeline **pipeline);

// The request with every default filled in and a seed drawn where there is none, as JSON. Pictures name
// it in their text `aquatint`. The result is the caller's to free.
//
// Provided that:
// `pipeline` is null or was not freed; `request` is null or ends in a zero; `resolved` is null or can be
// written.
AquatintError *aquatint_pipeline_resolve(
    const AquatintPipeline *pipeline,
    const char *request,
    char **resolved);

// What a request takes on the device, known before anything runs. What cannot fit is refused here with
// AQUATINT_ERROR_CODE_OUT_OF_MEMORY, as it is by aquatint_generate.
//
// Provided that:
// `pipeline` is null or was not freed; `request` is null or ends in a zero; `memory` is null or can be
// written.
AquatintError *aquatint_pipeline_memory(
    const AquatintPipeline *pipeline,
    const char *request,
    AquatintMemory *memory);

// Makes the pictures of a request, which is JSON with the fields of aquatint's `Request`:
// {"prompt": "a fox", "steps": 20, "seed": 7}. What is left out is the model's default; an unknown field
// is refused. Pictures that do not fit at once are drawn in turn, and are the same. Blocks; `callback` hears
// of each step and may cancel, and so may `canceller`, from another thread and within a step; it may be
// null.
//
// Provided that:
// `pipeline` and `canceller` are null or were not freed; `request` is null or ends in a zero; `images` is
// null or can be written.
AquatintError *aquatint_generate(
    const AquatintPipeline *pipeline,
    const char *request,
    const AquatintCanceller *canceller,
    AquatintStepCallback callback,
    void *user_data,
    AquatintImages **images);

// Frees a pipeline, and its weights with the last handle that needs them; nothing of null.
//
// Provided that:
// `pipeline` is null or was not freed.
void aquatint_pipeline_free(AquatintPipeline *pipeline);

// How many pictures there are; 0 of null.
//
// Provided that:
// `images` is null or was not freed.
size_t aquatint_images_count(const AquatintImages *images);

// A picture by its place, from 0; null beyond the last. It belongs to `images` and goes with them: it is
// not to be freed.
//
// Provided that:
// `images` is null or was not freed.
const AquatintImage *aquatint_images_get(const AquatintImages *images, size_t index);

// Something that the user should know of the run, such as where the prompt was cut; null beyond the
// last. The text belongs to `images`.
//
// Provided that:
// `images` is null or was not freed.
const char *aquatint_images_warning(const AquatintImages *images, size_t index);

// Frees pictures, and those that aquatint_images_get gave of them; nothing of null.
//
// Provided that:
// `images` is null or was not freed.
void aquatint_images_free(AquatintImages *images);

// Reads a PNG, JPEG or WebP file. The picture is the caller's to free.
//
// Provided that:
// `path` is null or ends in a zero; `image` is null or can be written.
AquatintError *aquatint_image_open(const char *path, AquatintImage **image);

// A picture of `4 * width * height` bytes, which are copied. The picture is the caller's to free.
//
// Provided that:
// `pixels` is null or holds so many bytes; `image` is null or can be written.
AquatintError *aquatint_image_from_rgba(
    size_t width,
    size_t height,
    const uint8_t *pixels,
    AquatintImage **image);

// The width in pixels; 0 of null.
//
// Provided that:
// `image` is null or was not freed.
size_t aquatint_image_width(const AquatintImage *image);

// The height in pixels; 0 of null.
//
// Provided that:
// `image` is null or was not freed.
size_t aquatint_image_height(const AquatintImage *image);

// The pixels: `4 * width * height` bytes, red, green, blue and alpha, rows from the top; null of null.
// They belong to the picture.
//
// Provided that:
// `image` is null or was not freed.
const uint8_t *aquatint_image_pixels(const AquatintImage *image);

// The text that a picture carries under a keyword, to be freed by the caller; null where there is none.
// "aquatint" is the request that made it as JSON, "parameters" the same as A1111 writes it.
//
// Provided that:
// `image` is null or was not freed; `keyword` is null or ends in a zero; `value` is null or can be
// written.
AquatintError *aquatint_image_text(const AquatintImage *image, const char *keyword, char **value);

// Writes a new PNG file, texts included, as the program would; a file that exists is left alone, and the
// call fails. The file appears whole or not at all.
//
// Provided that:
// `image` is null or was not freed; `path` is null or ends in a zero.
AquatintError *aquatint_image_save(const AquatintImage *image, const char *path);

// Writes a PNG file as aquatint_image_save does, in the place of one that exists.
//
// Provided that:
// As for aquatint_image_save.
AquatintError *aquatint_image_save_over(const AquatintImage *image, const char *path);

// Frees a picture that was given by itself; nothing of null.
//
// Provided that:
// `image` is null, or was not freed and is not one of an AquatintImages.
void aquatint_image_free(AquatintImage *image);

// Opens a network of the kinds of ESRGAN, Real-ESRGAN or SPAN from a safetensors file.
//
// Provided that:
// `device` is null or was not freed; `path` is null or ends in a zero; `upscaler` is null or can be
// written.
AquatintError *aquatint_upscaler_open(
    const AquatintDevice *device,
    const char *path,
    AquatintUpscaler **upscaler);

// How many times as wide and high the result is; 0 of null.
//
// Provided that:
// `upscaler` is null or was not freed.
size_t aquatint_upscaler_scale(const AquatintUpscaler *upscaler);

// Enlarges a picture. Blocks; `callback` hears of each tile and may cancel. The result is the caller's to
// free.
//
// Provided that:
// `upscaler` and `image` are null or were not freed; `enlarged` is null or can be written.
AquatintError *aquatint_upscaler_enlarge(
    const AquatintUpscaler *upscaler,
    const AquatintImage *image,
    AquatintTileCallback callback,
    void *user_data,
    AquatintImage **enlarged);

// Frees an upscaler; nothing of null.
//
// Provided that:
// `upscaler` is null or was not freed.
void aquatint_upscaler_free(AquatintUpscaler *upscaler);

#ifdef __cplusplus
}
#endif

#endif
