#include "apps/common/app.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "apps/common/interrupt.h"
#include "apps/common/system_info.h"

namespace ds::apps {

namespace {

int parse_and_run(const Program& program, int argc, char** argv) {
  CLI::App app(program.description, program.name);
  app.set_version_flag(
      "--version", [] { return describe(system_info()); }, "Says what is compiled in and in use");
  const std::function<int()> body = program.set_up(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string help = program.name;
    for (const CLI::App* command : app.get_subcommands()) help += " " + command->get_name();
    std::fprintf(stderr, "%s: %s (see %s --help)\n", program.name, error.what(), help.c_str());
    return kExitError;
  }
  const int code = body();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "%s: the output could not be written\n", program.name);
  return kExitError;
}

}  // namespace

void say(std::FILE* stream, const std::string& text) {
  std::fputs(text.c_str(), stream);
  std::fflush(stream);
}

std::string quoted(const std::string& path) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("/._-+=:,@%", c);
  };
  if (!path.empty() && std::all_of(path.begin(), path.end(), plain)) return path;
  std::string result = "'";
  for (const char c : path) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

int run(const Program& program, int argc, char** argv) noexcept {
  clean_up_when_interrupted();
  const char* message = "unknown error";
  try {
    return parse_and_run(program, argc, argv);
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program.name, error.what());
    return kExitError;
  } catch (...) {  // nothing of ours
  }
  std::fprintf(stderr, "%s: %s\n", program.name, message);
  return kExitError;
}

}  // namespace ds::apps
