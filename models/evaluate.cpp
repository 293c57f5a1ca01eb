#include "models/evaluate.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

void check_rows(const Tensor& logits, const Tensor& targets) {
  DS_CHECK(logits.rank() == 2 && targets.rank() >= 1 && targets.size(0) == logits.size(0),
           "[evaluate] logits {} and targets {}, expected [N,classes] and as many targets",
           logits.shape().str(), targets.shape().str());
}

}  // namespace

int64_t evaluation_batch(const Shape& image) {
  constexpr int64_t kPixels = 256000;
  constexpr int64_t kUsual = 25;               // of photographs
  constexpr int64_t kMost = int64_t{8} << 20;  // pixels, beyond which fewer images fit into the memory
  const int64_t pixels = image[0] * image[1];
  return std::max<int64_t>(1, std::min(std::max(kUsual, kPixels / pixels), kMost / pixels));
}

int64_t count_correct(const Tensor& logits, const Tensor& targets) {
  check_rows(logits, targets);
  const auto found = ops::argmax(logits).to_vector<int64_t>();
  const auto expected = (is_float(targets.dtype()) ? ops::argmax(targets) : targets).to_vector<int64_t>();
  int64_t correct = 0;
  for (size_t i = 0; i < found.size(); ++i) correct += found[i] == expected[i] ? 1 : 0;
  return correct;
}

int64_t count_in_top(const Tensor& logits, const Tensor& labels, int64_t k) {
  check_rows(logits, labels);
  const auto values = logits.to(DType::kF64).to_vector<double>();
  const auto expected = labels.to_vector<int64_t>();
  const auto classes = static_cast<size_t>(logits.size(-1));
  int64_t found = 0;
  for (size_t row = 0; row < expected.size(); ++row) {
    const double* scores = values.data() + row * classes;
    const auto label = static_cast<size_t>(expected[row]);
    DS_CHECK(label < classes, "[evaluate] label {}, expected one below {}", label, classes);
    int64_t before = 0;  // classes that come before the label's; a NaN does
    for (size_t other = 0; other < classes; ++other) {
      if (other < label ? !(scores[other] < scores[label]) : !(scores[other] <= scores[label])) ++before;
    }
    if (before < k) ++found;
  }
  return found;
}

Evaluation evaluate(Module& module, DataLoader& loader) {
  const EvaluationScope evaluation(module);
  const NoGrad no_grad;
  Evaluation result;
  for (const Batch& batch : loader) {
    DS_CHECK(batch.labels.dtype() == DType::kI64,
             "[evaluate] the loader gives {} targets, expected labels (i64)", name_of(batch.labels.dtype()));
    const Tensor logits = module(batch.images).value();
    const Tensor targets = ops::one_hot(batch.labels, logits.size(-1), 0.0, logits.dtype());
    result.loss +=
        ops::cross_entropy(logits, targets).loss.item() * static_cast<double>(batch.labels.numel());
    result.correct += count_correct(logits, batch.labels);
    if (logits.size(-1) > kFewClasses)
      result.correct5 = result.correct5.value_or(0) + count_in_top(logits, batch.labels, 5);
    result.total += batch.labels.numel();
  }
  DS_CHECK(result.total > 0, "[evaluate] the loader has no images");
  result.loss /= static_cast<double>(result.total);
  return result;
}

double accuracy(Module& module, DataLoader& loader) { return evaluate(module, loader).accuracy(); }

}  // namespace ds
