#include "apps/common/app.h"

#include <cstdio>
#include <exception>
#include <new>

namespace ds::apps {

namespace {

int parse_and_run(const Program& program, int argc, char** argv) {
  CLI::App app(program.description, program.name);
  const std::function<int()> body = program.set_up(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::fprintf(stderr, "%s: %s (see %s --help)\n", program.name, error.what(), program.name);
    return kExitError;
  }
  return body();
}

}  // namespace

int run(const Program& program, int argc, char** argv) noexcept {
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
