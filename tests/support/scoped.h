// Settings of the process that last as long as an object.
#pragma once

#include "core/backend.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::test {

class ScopedEngine {
 public:
  explicit ScopedEngine(Engine engine) : before_(ds::engine()) { set_engine(engine); }
  ~ScopedEngine() { set_engine(before_); }
  ScopedEngine(const ScopedEngine&) = delete;
  ScopedEngine& operator=(const ScopedEngine&) = delete;

 private:
  Engine before_;
};

class ScopedIsa {
 public:
  explicit ScopedIsa(cpu::Isa isa) : before_(cpu::isa()) { cpu::set_isa(isa); }
  ~ScopedIsa() { cpu::set_isa(before_); }
  ScopedIsa(const ScopedIsa&) = delete;
  ScopedIsa& operator=(const ScopedIsa&) = delete;

 private:
  cpu::Isa before_;
};

class ScopedPrecision {
 public:
  explicit ScopedPrecision(Precision precision) : before_(ds::precision()) { set_precision(precision); }
  ~ScopedPrecision() { set_precision(before_); }
  ScopedPrecision(const ScopedPrecision&) = delete;
  ScopedPrecision& operator=(const ScopedPrecision&) = delete;

 private:
  Precision before_;
};

class ScopedThreads {
 public:
  explicit ScopedThreads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~ScopedThreads() { set_num_threads(before_); }
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;

 private:
  int before_;
};

}  // namespace ds::test
