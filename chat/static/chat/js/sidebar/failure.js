/** What the person is told when a change of the list failed. */

import { FetchError } from "antiphon/lib/fetch";
import { showNote } from "antiphon/conversation/status";

/** Shows the message of a failed request. @param {unknown} error */
export function showFailure(error) {
  if (!(error instanceof FetchError)) throw error;
  showNote(error.message);
}
