// Writes an integer net of seeded weights, as bench_inference times them, for `deepshift bench`.
//
//   save_net resnet18 ps 4 resnet18_ps4.safetensors
#include <fmt/format.h>

#include <charconv>
#include <string>

#include "bench/seeded_net.h"
#include "core/error.h"
#include "infer/integer_net_file.h"

namespace {

int bits_of(const std::string& text) {
  int bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  DS_CHECK(error == std::errc{} && end == text.data() + text.size(), "{} bits, expected a number", text);
  return bits;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: save_net ARCH q|ps BITS FILE\n");
    return 1;
  }
  try {
    const ds::ShiftFormat format{.method = ds::parse_shift_method(argv[2]), .bits = bits_of(argv[3])};
    ds::infer::save_integer_net(argv[4], ds::bench::seeded_net(ds::models::find(argv[1]), format, 16));
  } catch (const std::exception& error) {
    fmt::print(stderr, "save_net: {}\n", error.what());
    return 1;
  }
  return 0;
}
