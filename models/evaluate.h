// How many images of a data set a network names rightly.
#pragma once

#include <optional>

#include "data/loader.h"
#include "layers/module.h"

namespace ds {

struct Evaluation {
  int64_t correct = 0;  // the largest logit is that of the label; the lowest index wins a tie
  int64_t total = 0;
  double loss = 0.0;                     // mean cross-entropy
  std::optional<int64_t> correct5 = {};  // the label is among the five largest; of more than kFewClasses

  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(total); }
};

/// Of so few classes five answers say little.
inline constexpr int64_t kFewClasses = 10;

/// Images H,W,C at a time that fill the caches and not the memory: 250 of CIFAR.
int64_t evaluation_batch(const Shape& image);
/// How many rows of the logits have their maximum where the targets (labels, i64, or probabilities) have it.
int64_t count_correct(const Tensor& logits, const Tensor& targets);
/// How many rows of the logits have the label's among their `k` largest; of equal ones the first are larger.
int64_t count_in_top(const Tensor& logits, const Tensor& labels, int64_t k);
/// One pass over the loader in evaluation mode and off the tape; every module's mode is restored. Throws
/// Error for a loader with no images, or with mixup, whose targets are no labels.
Evaluation evaluate(Module& module, DataLoader& loader);
/// Share of right answers, 0 to 1.
double accuracy(Module& module, DataLoader& loader);

}  // namespace ds
