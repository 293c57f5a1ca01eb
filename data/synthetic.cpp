#include "data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"

namespace ds {
namespace {

constexpr int64_t kSide = 32;
constexpr int64_t kChannels = 3;
constexpr int64_t kSamples = 3;   // a pixel is the mean of 3 x 3 samples
constexpr int64_t kPixel = 4080;  // length of a pixel's side; a multiple of 2 kSamples
constexpr int64_t kUnit = 4096;   // length of a shape's radius, in the shape's own coordinates
constexpr int64_t kTurn = 1024;   // directions of a full turn
constexpr int64_t kTrigUnit = 1 << 14;

enum class Class : uint8_t {
  kDisc,
  kRing,
  kCrescent,
  kTriangle,
  kSquare,
  kCross,
  kStar,
  kStripes,
  kCheckerboard,
  kDots,
  kCount
};
constexpr std::array kClassNames = {"disc",  "ring", "crescent", "triangle",     "square",
                                    "cross", "star", "stripes",  "checkerboard", "dots"};
static_assert(kClassNames.size() == static_cast<size_t>(Class::kCount));

struct Point {
  int64_t x = 0;
  int64_t y = 0;
};

constexpr int64_t dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
constexpr int64_t square(int64_t value) { return value * value; }
/// A fraction of the shape's radius.
constexpr int64_t percent(int64_t value) { return kUnit * value / 100; }
/// value / divisor, rounded down also below zero.
constexpr int64_t floor_divide(int64_t value, int64_t divisor) {
  return value >= 0 ? value / divisor : -((divisor - 1 - value) / divisor);
}

/// Cosine and sine of index / kTurn turns, times kTrigUnit. Rounding to 14 bits hides how a library rounds.
Point direction(int64_t index) {
  static const auto table = [] {
    std::array<Point, kTurn> result;
    for (size_t i = 0; i < kTurn; ++i) {
      const double angle = 2.0 * std::numbers::pi * static_cast<double>(i) / kTurn;
      result[i] = {std::lround(std::cos(angle) * kTrigUnit), std::lround(std::sin(angle) * kTrigUnit)};
    }
    return result;
  }();
  return table[static_cast<size_t>(index % kTurn)];
}

int64_t between(Generator& generator, int64_t low, int64_t high) {
  return low + generator.below(static_cast<uint32_t>(high - low + 1));
}

using Colour = std::array<int64_t, kChannels>;

Colour random_colour(Generator& generator) {
  Colour colour;
  for (int64_t& value : colour) value = between(generator, 20, 235);
  return colour;
}

int64_t distance(const Colour& a, const Colour& b) {
  int64_t sum = 0;
  for (size_t c = 0; c < kChannels; ++c) sum += std::abs(a[c] - b[c]);
  return sum;
}

/// A rectangle of pixels, the ends not included.
struct Box {
  Point begin = {0, 0};
  Point end = {kSide, kSide};
};

/// The pixels within a distance of a point.
Box around(Point centre, int64_t reach) {
  const auto pixel = [](int64_t position) { return std::clamp<int64_t>(position / kPixel, 0, kSide); };
  return {{pixel(centre.x - reach), pixel(centre.y - reach)},
          {pixel(centre.x + reach + kPixel), pixel(centre.y + reach + kPixel)}};
}

/// Channel values of the image while it is drawn.
class Canvas {
 public:
  Colour& at(int64_t x, int64_t y) { return pixels_[static_cast<size_t>(y * kSide + x)]; }

  /// Paints the points of the box for which inside(point) holds, anti-aliased.
  template <class Inside>
  void paint(const Colour& colour, const Box& box, Inside inside) {
    for (int64_t y = box.begin.y; y < box.end.y; ++y) {
      for (int64_t x = box.begin.x; x < box.end.x; ++x) {
        const int64_t covered = count_inside(x, y, inside);
        if (covered == 0) continue;
        Colour& pixel = at(x, y);
        for (size_t c = 0; c < kChannels; ++c) {
          pixel[c] += (colour[c] - pixel[c]) * covered / square(kSamples);
        }
      }
    }
  }

 private:
  template <class Inside>
  static int64_t count_inside(int64_t x, int64_t y, Inside& inside) {
    constexpr int64_t kStep = kPixel / kSamples;
    int64_t count = 0;
    for (int64_t i = 0; i < square(kSamples); ++i) {
      const Point point = {x * kPixel + i % kSamples * kStep + kStep / 2,
                           y * kPixel + i / kSamples * kStep + kStep / 2};
      count += inside(point) ? 1 : 0;
    }
    return count;
  }

  std::array<Colour, kSide * kSide> pixels_{};
};

/// Place, size, proportions and rotation of a shape.
struct Pose {
  Point centre;
  Point radius;  // along the shape's own axes
  Point axis;    // direction of its first axis

  /// A point of the image in the shape's coordinates, where it has radius kUnit.
  Point to_shape(Point point) const {
    const Point offset = {point.x - centre.x, point.y - centre.y};
    const int64_t along = dot(offset, axis) / kTrigUnit;
    const int64_t across = dot(offset, {-axis.y, axis.x}) / kTrigUnit;
    return {along * kUnit / radius.x, across * kUnit / radius.y};
  }
};

Pose random_pose(Generator& generator, int64_t smallest, int64_t largest) {
  Pose pose;
  pose.radius.x = between(generator, smallest, largest);
  pose.radius.y = pose.radius.x * between(generator, 85, 115) / 100;
  const int64_t margin = std::max(pose.radius.x, pose.radius.y) * 9 / 10;
  pose.centre.x = between(generator, margin, kSide * kPixel - margin);
  pose.centre.y = between(generator, margin, kSide * kPixel - margin);
  pose.axis = direction(between(generator, 0, kTurn - 1));
  return pose;
}

/// How many of `count` half-planes, evenly turned and at a distance from the centre, hold the point.
int64_t count_half_planes(Point p, int64_t count, int64_t apothem) {
  int64_t holding = 0;
  for (int64_t k = 0; k < count; ++k) holding += dot(p, direction(k * kTurn / count)) <= apothem * kTrigUnit;
  return holding;
}

bool in_disc(Point p, int64_t radius) { return dot(p, p) <= square(radius); }
bool in_box(Point p, int64_t half_x, int64_t half_y) {
  return std::abs(p.x) <= half_x && std::abs(p.y) <= half_y;
}

bool in_dot(Point p) {
  constexpr int64_t kSpacing = percent(62);
  const Point cell = {floor_divide(p.x, kSpacing) * kSpacing, floor_divide(p.y, kSpacing) * kSpacing};
  return in_disc({p.x - cell.x - kSpacing / 2, p.y - cell.y - kSpacing / 2}, percent(22));
}

/// The classes, in coordinates where each has about radius kUnit. A texture fills a disc or a square.
bool in_class(Class kind, Point p, bool round) {
  const bool in_patch = round ? in_disc(p, kUnit) : in_box(p, percent(90), percent(90));
  switch (kind) {
    case Class::kDisc: return in_disc(p, percent(90));
    case Class::kRing: return in_disc(p, kUnit) && !in_disc(p, percent(55));
    case Class::kCrescent: return in_disc(p, kUnit) && !in_disc({p.x - percent(50), p.y}, percent(85));
    case Class::kTriangle: return count_half_planes(p, 3, percent(55)) == 3;
    case Class::kSquare: return in_box(p, percent(80), percent(80));
    case Class::kCross: return in_box(p, kUnit, percent(30)) || in_box(p, percent(30), kUnit);
    // Inside the pentagon, or beyond just one of its sides.
    case Class::kStar: return count_half_planes(p, 5, percent(36)) >= 4;
    case Class::kStripes: return in_patch && floor_divide(p.x, percent(30)) % 2 == 0;
    case Class::kCheckerboard:
      return in_patch && (floor_divide(p.x, percent(45)) + floor_divide(p.y, percent(45))) % 2 == 0;
    case Class::kDots: return in_patch && in_dot(p);
    case Class::kCount: break;
  }
  return false;
}

bool is_texture(Class kind) {
  return kind == Class::kStripes || kind == Class::kCheckerboard || kind == Class::kDots;
}

/// A gradient from one colour to another, similar one, in a random direction.
void draw_background(Canvas& canvas, const Colour& colour, Generator& generator) {
  Colour change;
  for (int64_t& value : change) value = between(generator, -40, 40);
  const Point along = direction(between(generator, 0, kTurn - 1));
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      const int64_t position = dot({x - kSide / 2, y - kSide / 2}, along);  // within +-kSide kTrigUnit
      for (size_t c = 0; c < kChannels; ++c) {
        canvas.at(x, y)[c] = colour[c] + change[c] * position / (kSide * kTrigUnit);
      }
    }
  }
}

/// Thin lines across the image.
void draw_lines(Canvas& canvas, int64_t count, Generator& generator) {
  for (int64_t i = 0; i < count; ++i) {
    const Point normal = direction(between(generator, 0, kTurn - 1));
    const int64_t offset = between(generator, -12 * kPixel, 12 * kPixel);
    const int64_t half_width = between(generator, kPixel / 4, kPixel / 2);
    canvas.paint(random_colour(generator), {}, [=](Point p) {
      const Point centred = {p.x - kSide * kPixel / 2, p.y - kSide * kPixel / 2};
      return std::abs(dot(centred, normal) / kTrigUnit - offset) <= half_width;
    });
  }
}

/// Small discs anywhere, also on top of the shape.
void draw_specks(Canvas& canvas, int64_t count, Generator& generator) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t x = between(generator, 0, kSide * kPixel);
    const int64_t y = between(generator, 0, kSide * kPixel);
    const int64_t radius = between(generator, kPixel / 2, kPixel * 5 / 4);
    canvas.paint(random_colour(generator), around({x, y}, radius), [=](Point p) {
      return in_disc({p.x - x, p.y - y}, radius);
    });
  }
}

void draw_image(Class kind, Generator& generator, uint8_t* pixels) {
  constexpr int64_t kContrast = 260;  // least distance of the two colours, of 645 possible
  const Colour back = random_colour(generator);
  Colour front = random_colour(generator);
  while (distance(front, back) < kContrast) front = random_colour(generator);

  Canvas canvas;
  draw_background(canvas, back, generator);
  draw_lines(canvas, between(generator, 0, 2), generator);
  const bool texture = is_texture(kind);
  const Pose pose = random_pose(generator, (texture ? 10 : 9) * kPixel, (texture ? 14 : 13) * kPixel);
  const bool round = generator.below(2) == 0;
  // No class reaches further than the corners of a square patch, 0.9 sqrt(2) radii away.
  const int64_t reach = std::max(pose.radius.x, pose.radius.y) * 13 / 10;
  canvas.paint(front, around(pose.centre, reach),
               [&](Point p) { return in_class(kind, pose.to_shape(p), round); });
  draw_specks(canvas, between(generator, 0, 4), generator);

  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      for (const int64_t value : canvas.at(x, y)) {
        const uint32_t word = generator.word();
        const int64_t noise = int64_t{word & 0xFF} - int64_t{word >> 8 & 0xFF};  // in [-255, 255]
        *pixels++ = static_cast<uint8_t>(std::clamp<int64_t>(value + noise / 10, 0, 255));
      }
    }
  }
}

Dataset draw_set(int64_t count, uint64_t seed, Split split) {
  DS_CHECK(count >= 0, "[synthetic] {} images, expected at least 0", count);
  Dataset dataset{Tensor::empty({count, kSide, kSide, kChannels}, DType::kU8),
                  Tensor::empty({count}, DType::kI64),
                  {kClassNames.begin(), kClassNames.end()}};
  parallel_for(count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto label = i % static_cast<int64_t>(kClassNames.size());
      Generator generator(
          seed, (split == Split::kTrain ? uint64_t{1} : uint64_t{2}) << 40 | static_cast<uint64_t>(i));
      draw_image(static_cast<Class>(label), generator,
                 dataset.images.data<uint8_t>() + i * kSide * kSide * kChannels);
      dataset.labels.data<int64_t>()[i] = label;
    }
  });
  return dataset;
}

}  // namespace

SyntheticData make_synthetic(const SyntheticOptions& options) {
  return {draw_set(options.train, options.seed, Split::kTrain),
          draw_set(options.test, options.seed, Split::kTest)};
}

}  // namespace ds
