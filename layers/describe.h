// Pieces of describe().
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/op_options.h"

namespace ds {

/// "2", or "2x3".
inline std::string str(const Size2d& size) {
  return size.height == size.width ? fmt::format("{}", size.height)
                                   : fmt::format("{}x{}", size.height, size.width);
}

}  // namespace ds
