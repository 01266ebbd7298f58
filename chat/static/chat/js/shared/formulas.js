/** The page of a share that stands still: sets its formulas. */

import { setFormulas } from "antiphon/conversation/formulas";

setFormulas(document);
