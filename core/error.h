// The one exception type of the library, and the check that throws it.
//
// A message begins with the operation in brackets, then says what was found and what was expected:
//   DS_CHECK(x.rank() == 4, "[conv2d] input has shape {}, expected N,H,W,C", x.shape().str());
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace ds {

/// Everything that the library throws. what() names the operation, what was found and what was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace ds

/// Throws ds::Error with the formatted message unless the condition holds. Written so that a NaN fails.
#define DS_CHECK(condition, ...)               \
  do {                                         \
    if (!(condition)) ::ds::fail(__VA_ARGS__); \
  } while (false)
