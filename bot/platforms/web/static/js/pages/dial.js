// The page of the temperature dial. The text after the # of its address is the one to begin with.

import { openingRoom } from "../shared/address.js";
import { DialView } from "../shared/dialview.js";
import { byId } from "../shared/dom.js";
import { decodeFragment } from "../shared/fragment.js";
import * as look from "../shared/look.js";

look.begin();
new DialView(byId("dial"), {
  text: decodeFragment(location.hash.slice(1)) || "The cat sat on the",
  room: openingRoom(),
});
