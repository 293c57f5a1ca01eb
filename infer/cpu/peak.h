// What the integer kernels in use can reach on this machine, all threads together.
#pragma once

namespace ds::infer {

/// GOP/s of the kernel of u8 values on values and weights in the first cache, two operations a product;
/// measured now. Of unpacked weights where kernels have such, else it decodes, too.
double measure_byte_peak();

}  // namespace ds::infer
