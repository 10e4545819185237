// What callers do wrong, and what the library answers; and what the example does not show: misuse DEVICE
// FOLDER.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aquatint.h"

#define REQUEST "{\"prompt\": \"a fox\", \"width\": 64, \"height\": 64, \"steps\": 3, \"seed\": 1}"
#define BATCH                                                                                      \
    "{\"prompt\": \"a fox\", \"width\": 64, \"height\": 64, \"steps\": 3, \"seed\": 1, \"batch_size\": 3}"

#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);                        \
            exit(EXIT_FAILURE);                                                                    \
        }                                                                                          \
    } while (0)

// Asserts that a call failed for a reason that a person can read.
#define REFUSED(call, code, words) refused((call), AQUATINT_ERROR_CODE_##code, (words), __LINE__)

static void refused(AquatintError *error, AquatintErrorCode code, const char *words, int line) {
    const char *message = aquatint_error_message(error);
    if (aquatint_error_code(error) != code || message == NULL || strstr(message, words) == NULL) {
        fprintf(stderr, "line %d: code %u, not %u, or no \"%s\" in: %s\n", line,
                aquatint_error_code(error), code, words, message == NULL ? "no error" : message);
        exit(EXIT_FAILURE);
    }
    aquatint_error_free(error);
}

static void succeeded(AquatintError *error, int line) {
    if (error != NULL) {
        fprintf(stderr, "line %d: %s\n", line, aquatint_error_message(error));
        exit(EXIT_FAILURE);
    }
}

#define SUCCEEDED(call) succeeded((call), __LINE__)

// Cancels after the first step, and goes on saying so.
static int cancel(const AquatintStep *step, void *user_data) {
    ASSERT(step->index == 0 && step->count == 3 && step->sigma > 0.0);
    *(int *)user_data += 1;
    return 1;
}

static void *call_off(void *canceller) {
    aquatint_canceller_cancel(canceller);
    return NULL;
}

// Calls off from another thread, and asks to go on.
static int call_off_beside(const AquatintStep *step, void *canceller) {
    pthread_t thread;
    ASSERT(step->index == 0);
    ASSERT(pthread_create(&thread, NULL, call_off, canceller) == 0);
    ASSERT(pthread_join(thread, NULL) == 0);
    return 0;
}

// Calls off as soon as something is there.
static void call_off_loading(const AquatintLoadProgress *progress, void *canceller) {
    ASSERT(progress->done_bytes > 0);
    aquatint_canceller_cancel(canceller);
}

static int count_steps(const AquatintStep *step, void *user_data) {
    ASSERT(step->index == *(size_t *)user_data && step->count == 9);
    *(size_t *)user_data += 1;
    return 0;
}

static void count_bytes(const AquatintLoadProgress *progress, void *user_data) {
    ASSERT(progress->done_bytes <= progress->total_bytes);
    *(uint64_t *)user_data = progress->done_bytes;
}

static void nothing_of_null(void) {
    aquatint_error_free(NULL);
    aquatint_string_free(NULL);
    aquatint_device_free(NULL);
    aquatint_canceller_cancel(NULL);
    aquatint_canceller_free(NULL);
    aquatint_pipeline_free(NULL);
    aquatint_images_free(NULL);
    aquatint_image_free(NULL);
    aquatint_upscaler_free(NULL);
    ASSERT(aquatint_error_code(NULL) == AQUATINT_ERROR_CODE_NONE);
    ASSERT(aquatint_error_message(NULL) == NULL);
    ASSERT(aquatint_images_count(NULL) == 0);
    ASSERT(aquatint_images_get(NULL, 0) == NULL);
    ASSERT(aquatint_images_warning(NULL, 0) == NULL);
    ASSERT(aquatint_image_width(NULL) == 0 && aquatint_image_height(NULL) == 0);
    ASSERT(aquatint_image_pixels(NULL) == NULL);
    ASSERT(aquatint_upscaler_scale(NULL) == 0);
}

static void null_arguments(const char *adapter) {
    AquatintDevice *device = NULL;
    AquatintPipeline *pipeline = NULL;
    AquatintImages *images = NULL;
    AquatintImage *image = NULL;
    AquatintUpscaler *upscaler = NULL;
    AquatintMemory memory;
    char *text = NULL;
    uint8_t pixel[4] = {1, 2, 3, 255};
    REFUSED(aquatint_adapters(NULL), ARGUMENT, "null");
    REFUSED(aquatint_device_open(adapter, NULL), ARGUMENT, "null");
    REFUSED(aquatint_device_info(NULL, &text), ARGUMENT, "device");
    REFUSED(aquatint_canceller_new(NULL), ARGUMENT, "null");
    REFUSED(aquatint_pipeline_load(NULL, "a", NULL, NULL, NULL, NULL, &pipeline), ARGUMENT, "device");
    REFUSED(aquatint_pipeline_load_demo(NULL, NULL, NULL, NULL, NULL, &pipeline), ARGUMENT, "device");
    REFUSED(aquatint_pipeline_resolve(NULL, REQUEST, &text), ARGUMENT, "pipeline");
    REFUSED(aquatint_pipeline_memory(NULL, REQUEST, &memory), ARGUMENT, "pipeline");
    ASSERT(memory.resident_bytes == 0);
    REFUSED(aquatint_generate(NULL, REQUEST, NULL, NULL, NULL, &images), ARGUMENT, "pipeline");
    REFUSED(aquatint_image_open(NULL, &image), ARGUMENT, "path");
    REFUSED(aquatint_image_from_rgba(1, 1, NULL, &image), ARGUMENT, "pixels");
    REFUSED(aquatint_image_from_rgba((size_t)-1, 2, pixel, &image), ARGUMENT, "too large");
    REFUSED(aquatint_image_from_rgba(0, 1, pixel, &image), REQUEST, "image");
    REFUSED(aquatint_image_text(NULL, "aquatint", &text), ARGUMENT, "image");
    REFUSED(aquatint_image_save(NULL, "a.png"), ARGUMENT, "image");
    REFUSED(aquatint_image_save_over(NULL, "a.png"), ARGUMENT, "image");
    REFUSED(aquatint_upscaler_open(NULL, "a", &upscaler), ARGUMENT, "device");
    REFUSED(aquatint_upscaler_enlarge(NULL, NULL, NULL, NULL, &image), ARGUMENT, "upscaler");
    REFUSED(aquatint_device_open("\xff", &device), ARGUMENT, "UTF-8");
    REFUSED(aquatint_device_open("no such adapter", &device), REQUEST, "no such adapter");
    ASSERT(device == NULL && pipeline == NULL && images == NULL && image == NULL && upscaler == NULL);
}

static void pictures(const char *folder) {
    char path[4096];
    const uint8_t pixels[8] = {1, 2, 3, 255, 4, 5, 6, 255};
    AquatintImage *image = NULL;
    AquatintImage *read = NULL;
    char *text = NULL;
    snprintf(path, sizeof path, "%s/two.png", folder);
    SUCCEEDED(aquatint_image_from_rgba(2, 1, pixels, &image));
    SUCCEEDED(aquatint_image_text(image, "aquatint", &text));
    ASSERT(text == NULL);
    SUCCEEDED(aquatint_image_save(image, path));
    REFUSED(aquatint_image_save(image, path), IO, "two.png");
    SUCCEEDED(aquatint_image_save_over(image, path));
    REFUSED(aquatint_image_save(image, "/no/such/folder/a.png"), IO, "/no/such/folder");
    SUCCEEDED(aquatint_image_open(path, &read));
    ASSERT(aquatint_image_width(read) == 2 && aquatint_image_height(read) == 1);
    ASSERT(memcmp(aquatint_image_pixels(read), pixels, sizeof pixels) == 0);
    aquatint_image_free(read);
    aquatint_image_free(image);
    REFUSED(aquatint_image_open("/no/such/file.png", &image), IO, "/no/such/file.png");
    ASSERT(image == NULL);
}

// Every pixel twice and twice again.
static void enlarged(const AquatintDevice *device, const char *folder) {
    char path[4096];
    const uint8_t pixels[8] = {1, 2, 3, 255, 4, 5, 6, 255};
    AquatintUpscaler *upscaler = NULL;
    AquatintImage *image = NULL;
    AquatintImage *large = NULL;
    snprintf(path, sizeof path, "%s/nearest.safetensors", folder);
    SUCCEEDED(aquatint_upscaler_open(device, path, &upscaler));
    ASSERT(aquatint_upscaler_scale(upscaler) == 2);
    SUCCEEDED(aquatint_image_from_rgba(2, 1, pixels, &image));
    SUCCEEDED(aquatint_upscaler_enlarge(upscaler, image, NULL, NULL, &large));
    ASSERT(aquatint_image_width(large) == 4 && aquatint_image_height(large) == 2);
    for (size_t i = 0; i < 8; i++) {
        ASSERT(memcmp(aquatint_image_pixels(large) + 4 * i, pixels + i % 4 / 2 * 4, 4) == 0);
    }
    aquatint_image_free(large);
    aquatint_image_free(image);
    aquatint_upscaler_free(upscaler);
}

// What is called off, before and meanwhile, leaves the canceller called off and the pipeline whole.
static void called_off(const AquatintDevice *device, const AquatintPipeline *pipeline, int is_gpu) {
    AquatintCanceller *canceller = NULL;
    AquatintPipeline *other = NULL;
    AquatintImages *images = NULL;
    SUCCEEDED(aquatint_canceller_new(&canceller));
    REFUSED(aquatint_generate(pipeline, REQUEST, canceller, call_off_beside, canceller, &images), CANCELLED, "cancelled");
    REFUSED(aquatint_generate(pipeline, REQUEST, canceller, NULL, NULL, &images), CANCELLED, "cancelled");
    REFUSED(aquatint_pipeline_load_demo(device, NULL, canceller, NULL, NULL, &other), CANCELLED, "cancelled");
    aquatint_canceller_free(canceller);
    // The interpreter reads weights where they lie, and loads none.
    if (is_gpu) {
        SUCCEEDED(aquatint_canceller_new(&canceller));
        REFUSED(aquatint_pipeline_load_demo(device, NULL, canceller, call_off_loading, canceller, &other), CANCELLED, "cancelled");
        aquatint_canceller_free(canceller);
    }
    ASSERT(other == NULL && images == NULL);
}

// Three pictures in memory for one.
static void in_turn(const AquatintDevice *device) {
    char options[64];
    AquatintPipeline *pipeline = NULL;
    AquatintImages *images = NULL;
    AquatintMemory memory;
    size_t steps = 0;
    SUCCEEDED(aquatint_pipeline_load_demo(device, NULL, NULL, NULL, NULL, &pipeline));
    SUCCEEDED(aquatint_pipeline_memory(pipeline, REQUEST, &memory));
    aquatint_pipeline_free(pipeline);
    // One byte less than all parts take together, and then no more than the largest takes alone.
    snprintf(options, sizeof options, "{\"vram_bytes\": %llu}", (unsigned long long)memory.resident_bytes - 1);
    SUCCEEDED(aquatint_pipeline_load_demo(device, options, NULL, NULL, NULL, &pipeline));
    SUCCEEDED(aquatint_pipeline_memory(pipeline, REQUEST, &memory));
    aquatint_pipeline_free(pipeline);
    snprintf(options, sizeof options, "{\"vram_bytes\": %llu}", (unsigned long long)memory.resident_bytes);
    SUCCEEDED(aquatint_pipeline_load_demo(device, options, NULL, NULL, NULL, &pipeline));
    REFUSED(aquatint_pipeline_memory(pipeline, BATCH, &memory), OUT_OF_MEMORY, "at most");
    SUCCEEDED(aquatint_generate(pipeline, BATCH, NULL, count_steps, &steps, &images));
    ASSERT(steps == 9 && aquatint_images_count(images) == 3);
    const uint8_t *first = aquatint_image_pixels(aquatint_images_get(images, 0));
    ASSERT(memcmp(first, aquatint_image_pixels(aquatint_images_get(images, 1)), 4 * 64 * 64) != 0);
    aquatint_images_free(images);
    aquatint_pipeline_free(pipeline);
}

int main(int argc, char **argv) {
    ASSERT(argc == 3);
    ASSERT(aquatint_abi_version() == AQUATINT_ABI_VERSION);
    nothing_of_null();
    null_arguments(argv[1]);
    pictures(argv[2]);

    AquatintDevice *device = NULL;
    AquatintPipeline *pipeline = NULL;
    AquatintPipeline *other = NULL;
    AquatintUpscaler *upscaler = NULL;
    uint64_t loaded = 0;
    char *text = NULL;
    SUCCEEDED(aquatint_device_open(argv[1], &device));
    SUCCEEDED(aquatint_device_info(device, &text));
    ASSERT(strstr(text, "\"backend\"") != NULL);
    aquatint_string_free(text);
    REFUSED(aquatint_pipeline_load(device, NULL, NULL, NULL, NULL, NULL, &other), ARGUMENT, "model");
    REFUSED(aquatint_pipeline_load(device, "/no/model", NULL, NULL, NULL, NULL, &other), IO, "/no/model");
    REFUSED(aquatint_pipeline_load(device, "/no/model", "{", NULL, NULL, NULL, &other), REQUEST, "options");
    REFUSED(aquatint_pipeline_load_demo(device, "{\"vrma\": 1}", NULL, NULL, NULL, &other), REQUEST, "vrma");
    REFUSED(aquatint_pipeline_load_demo(device, "{\"refiner\": \"/no/r\"}", NULL, NULL, NULL, &other), IO, "/no/r");
    REFUSED(aquatint_upscaler_open(device, "/no/model", &upscaler), IO, "/no/model");
    ASSERT(other == NULL && upscaler == NULL);
    SUCCEEDED(aquatint_pipeline_load_demo(device, NULL, NULL, count_bytes, &loaded, &pipeline));
    const int is_gpu = strcmp(argv[1], "reference") != 0;
    enlarged(device, argv[2]);
    called_off(device, pipeline, is_gpu);
    if (is_gpu) {
        in_turn(device);
    }
    // What needs the device keeps it.
    aquatint_device_free(device);

    AquatintImages *images = NULL;
    AquatintMemory memory;
    REFUSED(aquatint_generate(pipeline, NULL, NULL, NULL, NULL, &images), ARGUMENT, "request");
    REFUSED(aquatint_generate(pipeline, REQUEST, NULL, NULL, NULL, NULL), ARGUMENT, "null");
    REFUSED(aquatint_generate(pipeline, "", NULL, NULL, NULL, &images), REQUEST, "request");
    REFUSED(aquatint_generate(pipeline, "[]", NULL, NULL, NULL, &images), REQUEST, "request");
    REFUSED(aquatint_generate(pipeline, "{\"moon\": 3}", NULL, NULL, NULL, &images), REQUEST, "moon");
    REFUSED(aquatint_generate(pipeline, "{\"steps\": 0}", NULL, NULL, NULL, &images), REQUEST, "steps");
    REFUSED(aquatint_pipeline_memory(pipeline, "{\"steps\": -1}", &memory), REQUEST, "request");
    REFUSED(aquatint_pipeline_resolve(pipeline, "{\"sampler\": \"x\"}", &text), REQUEST, "sampler");
    ASSERT(text == NULL);
    SUCCEEDED(aquatint_pipeline_resolve(pipeline, "{}", &text));
    ASSERT(strstr(text, "\"seed\":") != NULL && strstr(text, "\"seed\":null") == NULL);
    aquatint_string_free(text);
    SUCCEEDED(aquatint_pipeline_memory(pipeline, REQUEST, &memory));
    // The interpreter reads weights where they lie.
    ASSERT(loaded == memory.weight_bytes || !is_gpu);
    ASSERT(memory.weight_bytes > 5000000 && memory.activation_bytes > 0);
    ASSERT(memory.resident_bytes == memory.weight_bytes + memory.activation_bytes);

    // A run that is cancelled asks no more, leaves nothing, and the pipeline draws on.
    int asked = 0;
    REFUSED(aquatint_generate(pipeline, REQUEST, NULL, cancel, &asked, &images), CANCELLED, "cancelled");
    REFUSED(aquatint_generate(pipeline, REQUEST, NULL, cancel, &asked, &images), CANCELLED, "cancelled");
    ASSERT(asked == 2 && images == NULL);
    SUCCEEDED(aquatint_generate(pipeline, REQUEST, NULL, NULL, NULL, &images));
    aquatint_pipeline_free(pipeline);
    ASSERT(aquatint_images_count(images) == 1 && aquatint_images_get(images, 1) == NULL);
    ASSERT(aquatint_images_warning(images, 0) == NULL);
    const AquatintImage *image = aquatint_images_get(images, 0);
    ASSERT(aquatint_image_width(image) == 64 && aquatint_image_pixels(image)[3] == 255);
    SUCCEEDED(aquatint_image_text(image, "aquatint", &text));
    ASSERT(strstr(text, "a fox") != NULL);
    aquatint_string_free(text);
    aquatint_images_free(images);
    return EXIT_SUCCESS;
}
