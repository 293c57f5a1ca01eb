// What every main() shares: parsing, and errors as one line on stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>

namespace ds::apps {

/// Exit codes: 0 done, 1 an error that the user can read about on stderr, 130 interrupted by a signal.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitInterrupted = 130;

struct Program {
  const char* name;
  const char* description;
  /// Adds the options to the command line, and returns what to do once it is parsed.
  std::function<int()> (*set_up)(CLI::App& app);
};

/// Writes what a person may read: a stream that has gone away, as that of a closed terminal, is no reason to
/// stop.
void say(std::FILE* stream, const std::string& text);
/// A path as a shell takes it.
std::string quoted(const std::string& path);

/// Parses the command line, runs the program and returns the exit code. Errors, of parsing too, become one
/// message on stderr.
int run(const Program& program, int argc, char** argv) noexcept;

}  // namespace ds::apps
