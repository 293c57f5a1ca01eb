// What every main() shares: parsing, and errors as one line on stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace ds::apps {

/// Exit codes: 0 done, 1 an error that the user can read about on stderr, 130 interrupted by a signal.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitInterrupted = 130;

/// Parses the command line and calls body. Errors, of parsing too, become one message on stderr and exit code
/// 1.
int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

}  // namespace ds::apps
