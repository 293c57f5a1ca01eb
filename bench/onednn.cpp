#include "bench/onednn.h"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "core/parallel.h"

namespace ds::bench {
namespace {

using Arguments = std::unordered_map<int, dnnl::memory>;

dnnl::memory::desc any_layout(const dnnl::memory::dims& dims) {
  return {dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any};
}

/// The sizes of a convolution in oneDNN's order: N,C,H,W and (G,)O,I,H,W, dilation counted from 0.
struct Sizes {
  explicit Sizes(const cpu::Conv2dProblem& p)
      : x(any_layout({p.x[0], p.x[3], p.x[1], p.x[2]})),
        y(any_layout({p.y[0], p.y[3], p.y[1], p.y[2]})),
        w(any_layout(p.options.groups == 1 ? dnnl::memory::dims{p.w[0], p.w[3], p.w[1], p.w[2]}
                                           : dnnl::memory::dims{p.options.groups, p.w[0] / p.options.groups,
                                                                p.w[3], p.w[1], p.w[2]})),
        stride{p.options.stride.height, p.options.stride.width},
        dilation{p.options.dilation.height - 1, p.options.dilation.width - 1},
        padding{p.options.padding.height, p.options.padding.width} {}
  dnnl::memory::desc x;
  dnnl::memory::desc y;
  dnnl::memory::desc w;
  dnnl::memory::dims stride;
  dnnl::memory::dims dilation;
  dnnl::memory::dims padding;
};

dnnl::memory filled(const dnnl::memory::desc& layout, const dnnl::engine& engine) {
  dnnl::memory memory(layout, engine);
  auto* values = static_cast<float*>(memory.get_data_handle());
  std::fill_n(values, layout.get_size() / sizeof(float), 0.5F);
  return memory;
}

std::function<void()> call(const dnnl::primitive& primitive, const Arguments& arguments,
                           const dnnl::engine& engine) {
  return [primitive, arguments, stream = dnnl::stream(engine)]() mutable {
    primitive.execute(stream, arguments);
    stream.wait();
  };
}

dnnl::memory::desc with_type(const dnnl::memory::desc& layout, dnnl::memory::data_type type) {
  return {layout.dims(), type, dnnl::memory::format_tag::any};
}

/// A scale a channel and ReLU, fused.
dnnl::primitive_attr integer_epilogue(int64_t outputs) {
  dnnl::primitive_attr attributes;
  attributes.set_output_scales(1 << 1, std::vector<float>(static_cast<size_t>(outputs), 0.01F));
  dnnl::post_ops fused;
  fused.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  attributes.set_post_ops(fused);
  return attributes;
}

/// All bytes 1: a bias of f32 is 2.4e-38 everywhere.
dnnl::memory of_ones(const dnnl::memory::desc& layout, const dnnl::engine& engine) {
  dnnl::memory memory(layout, engine);
  std::fill_n(static_cast<uint8_t*>(memory.get_data_handle()), layout.get_size(), uint8_t{1});
  return memory;
}

template <class Primitive>
std::function<void()> integer_call(const typename Primitive::primitive_desc& plan,
                                   const dnnl::engine& engine) {
  return call(Primitive(plan),
              {{DNNL_ARG_SRC, of_ones(plan.src_desc(), engine)},
               {DNNL_ARG_WEIGHTS, of_ones(plan.weights_desc(), engine)},
               {DNNL_ARG_BIAS, of_ones(plan.bias_desc(), engine)},
               {DNNL_ARG_DST, of_ones(plan.dst_desc(), engine)}},
              engine);
}

}  // namespace

bool has_onednn() { return true; }

std::function<void()> onednn_conv2d(const cpu::Conv2dProblem& problem) try {
  using dnnl::algorithm;
  using dnnl::prop_kind;
  omp_set_num_threads(num_threads());  // oneDNN plans for, and takes, what OpenMP says
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const Sizes s(problem);
  const dnnl::convolution_forward::primitive_desc forward(
      {prop_kind::forward_training, algorithm::convolution_direct, s.x, s.w, s.y, s.stride, s.dilation,
       s.padding, s.padding},
      engine);
  switch (problem.pass) {
    case cpu::Conv2dPass::kForward:
      return call(dnnl::convolution_forward(forward),
                  {{DNNL_ARG_SRC, filled(forward.src_desc(), engine)},
                   {DNNL_ARG_WEIGHTS, filled(forward.weights_desc(), engine)},
                   {DNNL_ARG_DST, filled(forward.dst_desc(), engine)}},
                  engine);
    case cpu::Conv2dPass::kBackwardData: {
      const dnnl::convolution_backward_data::primitive_desc backward(
          {algorithm::convolution_direct, s.x, s.w, s.y, s.stride, s.dilation, s.padding, s.padding}, engine,
          forward);
      return call(dnnl::convolution_backward_data(backward),
                  {{DNNL_ARG_DIFF_SRC, filled(backward.diff_src_desc(), engine)},
                   {DNNL_ARG_WEIGHTS, filled(backward.weights_desc(), engine)},
                   {DNNL_ARG_DIFF_DST, filled(backward.diff_dst_desc(), engine)}},
                  engine);
    }
    case cpu::Conv2dPass::kBackwardWeight: {
      const dnnl::convolution_backward_weights::primitive_desc backward(
          {algorithm::convolution_direct, s.x, s.w, s.y, s.stride, s.dilation, s.padding, s.padding}, engine,
          forward);
      return call(dnnl::convolution_backward_weights(backward),
                  {{DNNL_ARG_SRC, filled(backward.src_desc(), engine)},
                   {DNNL_ARG_DIFF_WEIGHTS, filled(backward.diff_weights_desc(), engine)},
                   {DNNL_ARG_DIFF_DST, filled(backward.diff_dst_desc(), engine)}},
                  engine);
    }
  }
  return {};
} catch (const dnnl::error&) {
  return {};  // not implemented for this shape
}

std::function<void()> onednn_integer_conv2d(const cpu::Conv2dProblem& problem) try {
  using dnnl::prop_kind;
  using Type = dnnl::memory::data_type;
  omp_set_num_threads(num_threads());
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const int64_t outputs = problem.w[0];
  const dnnl::memory::desc bias({outputs}, Type::f32, dnnl::memory::format_tag::x);
  if (problem.x[1] == 1 && problem.x[2] == 1) {
    const auto layout = [](const dnnl::memory::dims& dims, Type type) {
      return dnnl::memory::desc(dims, type, dnnl::memory::format_tag::any);
    };
    return integer_call<dnnl::inner_product_forward>(
        {{prop_kind::forward_inference, layout({problem.x[0], problem.x[3]}, Type::u8),
          layout({outputs, problem.x[3]}, Type::s8), bias, layout({problem.x[0], outputs}, Type::u8)},
         integer_epilogue(outputs),
         engine},
        engine);
  }
  const Sizes s(problem);
  return integer_call<dnnl::convolution_forward>(
      {{prop_kind::forward_inference, dnnl::algorithm::convolution_direct, with_type(s.x, Type::u8),
        with_type(s.w, Type::s8), bias, with_type(s.y, Type::u8), s.stride, s.dilation, s.padding, s.padding},
       integer_epilogue(outputs),
       engine},
      engine);
} catch (const dnnl::error&) {
  return {};
}

}  // namespace ds::bench
