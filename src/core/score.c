/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The same source as exported symbols, for tests and for those who bind to the library from other languages. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#define SCORE_INLINE
#define SCORE_OUTLINE
#include "score.h"
