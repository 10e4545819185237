// Draws a picture in C, with the model inside the library:
//
//     cargo build --release -p aquatint-capi
//     cc -Icapi capi/examples/draw.c -Ltarget/release -laquatint_c -o draw
//     LD_LIBRARY_PATH=target/release ./draw '{"prompt": "a slice of pizza", "seed": 42}' pizza.png
//
// A third argument names the device, as `aquatint devices` does.

#include <stdio.h>
#include <stdlib.h>

#include "aquatint.h"

// Ends the program where a call failed.
static void check(AquatintError *error) {
    if (error == NULL) {
        return;
    }
    fprintf(stderr, "error: %s\n", aquatint_error_message(error));
    aquatint_error_free(error);
    exit(EXIT_FAILURE);
}

// Says how far the run is; anything but 0 would cancel it.
static int show(const AquatintStep *step, void *user_data) {
    fprintf((FILE *)user_data, "step %zu of %zu\n", step->index + 1, step->count);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s REQUEST PICTURE.png [DEVICE]\n", argv[0]);
        return EXIT_FAILURE;
    }
    AquatintDevice *device = NULL;
    check(aquatint_device_open(argc > 3 ? argv[3] : NULL, &device));
    AquatintPipeline *pipeline = NULL;
    check(aquatint_pipeline_load_demo(device, NULL, NULL, NULL, NULL, &pipeline));

    AquatintMemory memory;
    check(aquatint_pipeline_memory(pipeline, argv[1], &memory));
    fprintf(stderr, "aquatint %s: at most %.1f MB on the device\n", aquatint_version(),
            (double)memory.resident_bytes / 1e6);

    AquatintImages *images = NULL;
    check(aquatint_generate(pipeline, argv[1], NULL, show, stderr, &images));
    const AquatintImage *image = aquatint_images_get(images, 0);
    check(aquatint_image_save(image, argv[2]));
    printf("%s: %zu x %zu\n", argv[2], aquatint_image_width(image), aquatint_image_height(image));

    aquatint_images_free(images);
    aquatint_pipeline_free(pipeline);
    aquatint_device_free(device);
    return EXIT_SUCCESS;
}
