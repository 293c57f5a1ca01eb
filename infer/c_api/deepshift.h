/* Running integer nets from C, and from every language that calls C: link with -ldeepshift.
 *
 *   ds_net* net = ds_load("resnet20_q4.safetensors");    a file of `deepshift lower`
 *   if (net == NULL) fprintf(stderr, "%s\n", ds_last_error());
 *   float logits[10];
 *   ds_run_u8(net, pixels, 1, logits);
 *   ds_free(net);
 *
 * Functions that can fail return NULL or a number that is not 0, and ds_last_error() says why. A net may be
 * run by many threads at once; each call uses ds_set_threads() threads of its own. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DS_EXPORT __attribute__((visibility("default")))

typedef struct ds_net ds_net;

/* Reads an integer net and plans how this machine runs it. NULL if the file cannot be read or is no integer
 * net. */
DS_EXPORT ds_net* ds_load(const char* path);
/* Frees a net that no call uses any more; NULL is ignored. */
DS_EXPORT void ds_free(ds_net* net);

/* Height, width and channels of the images that the net takes: pixels stand H,W,C, channels side by side. */
DS_EXPORT void ds_input_shape(const ds_net* net, int64_t shape[3]);
/* Values that the net gives for an image: its classes. */
DS_EXPORT int64_t ds_output_count(const ds_net* net);

/* Runs `images` images, one after the other in memory; outputs [images][ds_output_count(net)]. The
 * normalisation is part of the net: pixels are 0 to 255, or as floats 0 to 1, which are rounded to those. 0,
 * or 1 on failure. */
DS_EXPORT int ds_run_u8(const ds_net* net, const uint8_t* pixels, int64_t images, float* outputs);
DS_EXPORT int ds_run_f32(const ds_net* net, const float* pixels, int64_t images, float* outputs);
/* The integers behind the outputs, the same on every machine: output = integer / 2^ds_fraction_bits(net). */
DS_EXPORT int ds_run_u8_i32(const ds_net* net, const uint8_t* pixels, int64_t images, int32_t* outputs);
DS_EXPORT int ds_fraction_bits(const ds_net* net);

/* Threads of every call from now on, at least 1; at first DEEPSHIFT_THREADS, or the processors that the
 * process may use. 0, or 1 on failure. */
DS_EXPORT int ds_set_threads(int threads);
/* What went wrong in this thread's last call that failed; "" if none did. Stands until the next failure. */
DS_EXPORT const char* ds_last_error(void);

#ifdef __cplusplus
}
#endif
