/* Runs an integer net on a raw image and prints the class.
 *
 *   run_net NET.safetensors IMAGE.raw      the pixels' bytes, H,W,C
 *
 * Build: cc run_net.c -ldeepshift */
#include <stdio.h>
#include <stdlib.h>

#include "deepshift.h"

static int fail(const char* what, const char* why) {
  fprintf(stderr, "run_net: %s: %s\n", what, why);
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 3) return fail("usage", "run_net NET.safetensors IMAGE.raw");
  ds_net* net = ds_load(argv[1]);
  if (net == NULL) return fail("cannot load the net", ds_last_error());

  int64_t shape[3];
  ds_input_shape(net, shape);
  const size_t bytes = (size_t)(shape[0] * shape[1] * shape[2]);
  uint8_t* pixels = malloc(bytes);
  float* outputs = malloc((size_t)ds_output_count(net) * sizeof(float));
  FILE* file = fopen(argv[2], "rb");
  int status = 1;
  if (file == NULL || pixels == NULL || outputs == NULL || fread(pixels, 1, bytes, file) != bytes) {
    fail(argv[2], "cannot be read, or holds fewer bytes than an image");
  } else if (ds_run_u8(net, pixels, 1, outputs) != 0) {
    fail("cannot run the net", ds_last_error());
  } else {
    int64_t best = 0;
    for (int64_t i = 1; i < ds_output_count(net); ++i) {
      if (outputs[i] > outputs[best]) best = i;
    }
    printf("class %lld, output %.4f\n", (long long)best, outputs[best]);
    status = 0;
  }
  if (file != NULL) fclose(file);
  free(pixels);
  free(outputs);
  ds_free(net);
  return status;
}
