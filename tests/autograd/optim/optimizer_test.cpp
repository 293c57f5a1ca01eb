#include "autograd/optim/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "autograd/functions.h"
#include "autograd/optim/adam.h"
#include "autograd/optim/muon.h"
#include "autograd/optim/radam.h"
#include "autograd/optim/sgd.h"
#include "core/ops.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

struct Recipe {
  std::string name;  // of the fixture
  std::function<std::unique_ptr<Optimizer>(std::vector<Variable>)> make;

  friend void PrintTo(const Recipe& recipe, std::ostream* stream) { *stream << recipe.name; }
};

template <class Kind, class Options>
Recipe recipe(const char* name, const Options& options) {
  return {name, [options](std::vector<Variable> p) { return std::make_unique<Kind>(std::move(p), options); }};
}

/// What has one axis goes to the others.
Recipe muon_recipe() {
  return {"muon", [](std::vector<Variable> p) {
            const bool matrices = p[0].shape().rank() > 1;
            auto groups = one_group(std::move(p), 0.1);
            return std::make_unique<Muon>(
                matrices ? MuonGroups{.matrices = groups} : MuonGroups{.others = groups},
                MuonOptions{.lr = 0.05, .momentum = 0.9});
          }};
}

std::vector<Recipe> recipes() {
  const AdamOptions adam{.lr = 0.05, .beta1 = 0.8, .beta2 = 0.9, .weight_decay = 0.01};
  AdamOptions adamw = adam;
  adamw.weight_decay = 0.1;
  return {
      recipe<Sgd>("sgd", SgdOptions{.lr = 0.1, .weight_decay = 0.01}),
      recipe<Sgd>("sgd_momentum", SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01}),
      recipe<Sgd>("sgd_dampening", SgdOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.5}),
      recipe<Sgd>("sgd_nesterov",
                  SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}),
      recipe<Adam>("adam", adam),
      recipe<AdamW>("adamw", adamw),
      recipe<RAdam>("radam", RAdamOptions{.lr = 0.05, .weight_decay = 0.01, .decoupled_weight_decay = false}),
      recipe<RAdam>("radam_decoupled", RAdamOptions{.lr = 0.05, .weight_decay = 0.1}),
      muon_recipe(),
  };
}

class Optimizers : public testing::TestWithParam<Recipe> {
 protected:
  static Tensor read(const std::string& name) {
    static const SafetensorsFile file(fixture("optim.safetensors"));
    return file.read("optim/" + name);
  }
  static Tensor row(const Tensor& tensor, int64_t index) {
    return tensor.slice(index, index + 1).reshape(Shape(tensor.shape().sizes().subspan(1)));
  }
};

TEST_P(Optimizers, FollowPyTorch) {
  Variable parameter(read("start"), true);
  const auto optimizer = GetParam().make({parameter});
  const Tensor gradients = read("gradients");
  const Tensor expected = read(GetParam().name);
  ASSERT_GE(expected.size(0), 5);
  for (int64_t step = 0; step < expected.size(0); ++step) {
    optimizer->zero_grad();
    parameter.accumulate_grad(row(gradients, step));
    optimizer->step();
    EXPECT_LE(relative_error(parameter.value(), row(expected, step)), 1e-5) << "step " << step;
  }
}

TEST_P(Optimizers, ResumeWithEqualBits) {
  const Tensor gradients = read("gradients");
  const auto run = [&](Optimizer& optimizer, std::vector<Variable> parameters, int64_t from, int64_t to) {
    for (int64_t step = from; step < to; ++step) {
      optimizer.zero_grad();
      parameters[0].accumulate_grad(row(gradients, step));
      if (step % 3 == 1) parameters[1].accumulate_grad(row(gradients, step));  // the other has none at first
      optimizer.step();
    }
  };
  const auto fresh = [&] { return std::vector<Variable>{{read("start"), true}, {read("start"), true}}; };
  const auto whole = fresh();
  const auto whole_optimizer = GetParam().make(whole);
  run(*whole_optimizer, whole, 0, 9);

  for (const int64_t stop : {1, 4}) {
    const auto first = fresh();
    const auto first_optimizer = GetParam().make(first);
    run(*first_optimizer, first, 0, stop);
    const std::vector<Variable> second = {{first[0].value().clone(), true}, {first[1].value().clone(), true}};
    const auto second_optimizer = GetParam().make(second);
    second_optimizer->load_state(first_optimizer->state());
    run(*first_optimizer, first, stop, 9);  // the loaded state is a copy: this must not disturb it
    run(*second_optimizer, second, stop, 9);
    EXPECT_EQ(second_optimizer->steps(), 9);
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(second[i].value(), whole[i].value())) << i;
  }
}

TEST_P(Optimizers, RejectAStateThatDoesNotFit) {
  Variable parameter(Tensor::zeros({2}), true);
  const auto optimizer = GetParam().make({parameter});
  parameter.accumulate_grad(vector_of({1, 2}));
  optimizer->step();
  const OptimizerState state = optimizer->state();
  ASSERT_EQ(state.tensors[0].first, "0.updates");

  const auto message = [&](const OptimizerState& broken) {
    return error_of([&] { GetParam().make({Variable(Tensor::zeros({2}), true)})->load_state(broken); });
  };
  OptimizerState extra = state;
  extra.tensors.emplace_back("1.updates", state.tensors[0].second);
  EXPECT_THAT(message(extra), AllOf(HasSubstr("\"1.updates\" does not belong"), HasSubstr("1 parameters")));
  if (state.tensors.size() == 1) return;  // SGD without momentum remembers nothing
  OptimizerState never = state;
  never.tensors[0].second = Tensor::from(std::vector<int64_t>{0}, {1});
  EXPECT_THAT(message(never), HasSubstr("\"0.updates\" is 0, expected at least 1"));
  OptimizerState missing = state;
  missing.tensors.pop_back();
  EXPECT_THAT(message(missing), HasSubstr("found nothing, expected f32 [2]"));
  OptimizerState reshaped = state;
  reshaped.tensors.back().second = Tensor::zeros({3});
  EXPECT_THAT(message(reshaped), HasSubstr("found f32 [3], expected f32 [2]"));
}

INSTANTIATE_TEST_SUITE_P(, Optimizers, testing::ValuesIn(recipes()),
                         [](const auto& info) { return info.param.name; });

TEST(Optimizer, GroupsHaveTheirOwnDecayAndScale) {
  Variable decayed = leaf({1});
  Variable scaled = leaf({1});
  Sgd optimizer({{.parameters = {decayed}, .weight_decay = 0.5}, {.parameters = {scaled}, .lr_scale = 10.0}},
                {.lr = 0.01});
  decayed.accumulate_grad(vector_of({1}));
  scaled.accumulate_grad(vector_of({1}));
  optimizer.step();
  EXPECT_FLOAT_EQ(decayed.value().to_vector<float>()[0], 1.0F - 0.01F * 1.5F);
  EXPECT_FLOAT_EQ(scaled.value().to_vector<float>()[0], 1.0F - 0.1F);
}

TEST(Optimizer, RefusesToDecayWhatMustNot) {
  Variable shift = leaf({1});
  shift.forbid_decay("it is P");
  EXPECT_THAT(error_of([&] { Sgd({shift}, {.lr = 0.1, .weight_decay = 0.1}); }),
              HasSubstr("parameter 0 has weight decay 0.1, expected none: it is P"));
  Sgd({shift}, {.lr = 0.1});
}

TEST(Optimizer, PassesOverParametersWithoutGradient) {
  Variable still = leaf({1});
  Variable moved = leaf({1});
  AdamW optimizer({still, moved}, {.lr = 0.1, .weight_decay = 0.5});
  moved.accumulate_grad(vector_of({1}));
  optimizer.step();
  EXPECT_EQ(still.value().to_vector<float>()[0], 1.0F) << "not even decayed";
  EXPECT_LT(moved.value().to_vector<float>()[0], 1.0F);
}

TEST(Optimizer, ProjectsWhatItUpdated) {
  Variable w = leaf({0.95F});
  w.set_projection([](Tensor& value) { ops::clamp_in_place(value, -1.0, 1.0); });
  Sgd optimizer({w}, {.lr = 1.0});
  w.accumulate_grad(vector_of({-3}));
  optimizer.step();
  EXPECT_THAT(w.value().to_vector<float>(), ElementsAre(1));
}

TEST(Optimizer, RefusesRetiredParameters) {
  Variable a = leaf({1});
  Variable b = leaf({1});
  Sgd optimizer({a, b}, {.lr = 1.0});
  a.accumulate_grad(vector_of({1}));
  b.retire("converted to shift-q 5 bits");
  EXPECT_THAT(
      error_of([&] { optimizer.step(); }),
      AllOf(HasSubstr("parameter 1 of 2"), HasSubstr("converted to shift-q"), HasSubstr("new optimizer")));
  EXPECT_THAT(a.value().to_vector<float>(), ElementsAre(1)) << "something was updated before the error";
}

TEST(Optimizer, ChecksItsOptions) {
  const Variable w = leaf({1});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(error_of([&] { Sgd({w}, {.lr = -0.1}); }), HasSubstr("learning rate is -0.1"));
  EXPECT_THAT(error_of([&] { Sgd({w}, {.lr = nan}); }), HasSubstr("learning rate is nan"));
  EXPECT_THAT(error_of([&] { Sgd({w}, {.weight_decay = nan}); }), HasSubstr("weight decay nan"));
  EXPECT_THAT(error_of([&] { Sgd({w}, {.momentum = -1}); }), HasSubstr("momentum -1"));
  EXPECT_THAT(error_of([&] { Sgd({w}, {.nesterov = true}); }), HasSubstr("Nesterov"));
  EXPECT_THAT(error_of([&] { Adam({w}, {.beta1 = 1.0}); }), HasSubstr("betas are 1 and 0.999"));
  EXPECT_THAT(error_of([&] { RAdam({w}, {.beta2 = nan}); }), HasSubstr("expected 0 <= beta < 1"));
  EXPECT_THAT(error_of([&] { AdamW({w}, {.epsilon = -1}); }), HasSubstr("epsilon is -1"));
  EXPECT_THAT(error_of([&] { Sgd({w, w}, SgdOptions{}); }), HasSubstr("listed twice"));
  EXPECT_THAT(error_of([&] { Sgd({Variable(vector_of({1}))}, SgdOptions{}); }),
              HasSubstr("requires no gradient"));
  EXPECT_THAT(error_of([&] { Sgd(std::vector<Variable>{}, SgdOptions{}); }), HasSubstr("no parameters"));
  EXPECT_THAT(error_of([&] { Sgd(std::vector<ParameterGroup>{{.parameters = {w}}}, {.weight_decay = 0.1}); }),
              HasSubstr("expected each group to say its own"));
}

}  // namespace
}  // namespace ds::test
