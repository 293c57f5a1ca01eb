// Memory for time: activations that are computed again in the backward pass instead of kept (Chen et al.
// 2016, "Training deep nets with sublinear memory cost").
#pragma once

#include <functional>

#include "autograd/variable.h"

namespace ds {

/// y = function(x), of which only x is kept until backward(), which calls the function a second time and then
/// runs back through it. Gradients are the same to the bit (where x is used elsewhere too, its own may add up
/// in another order): random numbers are drawn again from the same position of the default generator, and
/// running statistics change the first time only (recomputing()). The function may use leaves besides x
/// (parameters), but no results of other functions, and nothing that changes in between: called twice before
/// backward(), a layer with running ranges rounds by the later ones. Its result must depend on x: backward()
/// throws Error otherwise. Where x needs no gradient the function is just called.
Variable recompute(const std::function<Variable(const Variable&)>& function, const Variable& x);

/// Whether this thread runs a function for the second time. Layers that learn from what they see (running
/// statistics) then leave it.
bool recomputing();

}  // namespace ds
