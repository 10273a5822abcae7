// The AVX-512 kernel file as it stands, with <immintrin.h> from intrinsics/ beside this file, so
// that it runs where the processor has no AVX-512. Its table gets another name: the same file
// compiled for the processor is linked beside it.
#if defined(__x86_64__)

#define ember_kernels_avx512vnni ember_kernels_emulated_avx512vnni
// The file asks for AVX-512 in its `#pragma clang attribute`, where macros are expanded.
#define target(features) target("avx2,fma,f16c")

#include "../../Sources/CKernels/kernels_avx512vnni.c"

#endif
