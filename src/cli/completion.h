/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verb tables say, as scripts by which shells complete command lines. */
#ifndef IMSAFE_CLI_COMPLETION_H
#define IMSAFE_CLI_COMPLETION_H

#include <stdio.h>

#include "base/options.h"

/* For all verbs, also under their historical names. shell: "bash", "zsh", "fish"; -ENOENT for others. */
int completion_script(const struct verb *const *all, const char *shell, FILE *out);

#endif
