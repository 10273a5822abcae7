// Encoding in groups of 16 weights under a scale each: a group is one vector.

// The level nearest to v: of the integers, ties to even; of the listed ones, ties to the lower.
INLINE v16f nearest_level(v16f v, const ember_levels *levels) {
  if (!levels->values) {
    v16f low = levels->lowest, high = levels->highest;
    v = __builtin_elementwise_min(__builtin_elementwise_max(v, low), high);
    return (v + (v16f)12582912.0f) - (v16f)12582912.0f;
  }
  v16f level = levels->values[0];
  UNROLL for (int i = 0; i < 15; i++) {
    v16i above = v > (v16f)levels->middles[i];
    level = select16(above, (v16f)levels->values[i + 1], level);
  }
  return level;
}

INLINE v16i level_codes(v16f v, const ember_levels *levels) {
  if (!levels->values) return __builtin_convertvector(v - (v16f)levels->lowest, v16i);
  v16i code = 0;
  UNROLL for (int i = 0; i < 15; i++) code -= v > (v16f)levels->middles[i];
  return code;
}

INLINE float search_group(v16f w, v16f h, const ember_levels *levels) {
  float top = max_of_lanes(w), bottom = -max_of_lanes(-w);
  float extreme = top >= -bottom ? top : bottom;
  // So small that an inverse scale would not be finite: as good as zero.
  if (__builtin_fabsf(extreme) < 1e-30f) return 0;
  v16f hw = h * w;
  float best_gain = -1, best_scale = 0;
  for (size_t i = 0; i < 2 * levels->factor_count; i++) {
    float end = i % 2 ? levels->highest : levels->lowest;
    v16f q = nearest_level(w * (v16f)(levels->factors[i / 2] * end / extreme), levels);
    float product = sum_of_lanes(hw * q);
    float square = sum_of_lanes((h * q) * q);
    float gain = square > 0 ? product * product / square : 0;
    if (gain > best_gain) {
      best_gain = gain;
      best_scale = square > 0 ? product / square : 0;
    }
  }
  return best_scale;
}

static void search_groups(const float *weights, const float *importance, size_t groups,
                          const ember_levels *levels, float *scales) {
  for (size_t g = 0; g < groups; g++)
    scales[g] = search_group(load16(weights + 16 * g), load16(importance + 16 * g), levels);
}

static void round_groups(const float *weights, const float *importance, size_t groups,
                         const ember_levels *levels, const float *scales, uint8_t *codes,
                         float *errors) {
  for (size_t g = 0; g < groups; g++) {
    v16f w = load16(weights + 16 * g), h = load16(importance + 16 * g);
    float scale = scales[g];
    float inverse = __builtin_fabsf(scale) < 1e-30f ? 0 : 1.0f / scale;
    v16f q = nearest_level(w * (v16f)inverse, levels);
    v16i indices = level_codes(q, levels);
    UNROLL for (int i = 0; i < 16; i++) codes[16 * g + (size_t)i] = (uint8_t)indices[i];
    v16f lost = fma16(-q, (v16f)scale, w);
    errors[g] = sum_of_lanes((h * lost) * lost);
  }
}
