#include "autograd/recompute.h"

#include <utility>

#include "autograd/tape.h"
#include "core/random.h"

namespace ds {
namespace {

thread_local bool second_time = false;

/// Records, from where the generator stood the first time; puts all back, also when the function throws.
class SecondTime {
 public:
  explicit SecondTime(const Generator& start)
      : flag_(std::exchange(second_time, true)), generator_(std::exchange(default_generator(), start)) {}
  ~SecondTime() {
    second_time = flag_;
    default_generator() = generator_;
  }
  SecondTime(const SecondTime&) = delete;
  SecondTime& operator=(const SecondTime&) = delete;

 private:
  EnableGrad recording_;
  bool flag_;
  Generator generator_;
};

}  // namespace

Variable recompute(const std::function<Variable(const Variable&)>& function, const Variable& x) {
  if (!grad_enabled() || tracing() || !x.requires_grad()) return function(x);
  const Generator start = default_generator();
  Tensor y;
  {
    const NoGrad scope;
    y = function(x.detach()).value();
  }
  return record({.kind = "recompute", .inputs = {x}}, y, [function, start, x = x.value()](const Tensor& dy) {
    const Variable input(x, true);
    Variable output;
    {
      const SecondTime scope(start);
      output = function(input);
    }
    backward(output, dy);
    return Gradients{input.grad()};
  });
}

bool recomputing() { return second_time; }

}  // namespace ds
