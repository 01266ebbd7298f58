/** The page of a share that stands still, and the one for printing: dresses the answers. */

import { listenToParts } from "antiphon/shared/parts";
import { dressAnswer } from "antiphon/conversation/code";

const printing = document.getElementById("print") !== null;
dressAnswer(document, !printing);
listenToParts(document.body);
