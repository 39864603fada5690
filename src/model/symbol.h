/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The model's symbols as words: a call's name or number, @other, @fork, @exec, @reset. */
#ifndef IMSAFE_MODEL_SYMBOL_H
#define IMSAFE_MODEL_SYMBOL_H

#include <stddef.h>

#include "trace/arch.h"

#define SYMBOL_WORD_MAX 64

/* Returns buffer, of at least SYMBOL_WORD_MAX bytes, or a static string. */
const char *symbol_word(enum syscall_arch arch, unsigned symbol, char *buffer, size_t size);

/* The symbol of a word, or -EINVAL. */
int symbol_by_word(enum syscall_arch arch, const char *word);

#endif
