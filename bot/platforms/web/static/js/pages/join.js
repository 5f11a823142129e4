// The form for the join code: takes a code that a link or a QR code brought along out of the address, and fills it in.

import { decodeFragment } from "../shared/fragment.js";

const NAME = "#code=";
if (location.hash.startsWith(NAME)) {
  document.getElementById("code").value = decodeFragment(location.hash.slice(NAME.length));
  history.replaceState(null, "", location.pathname + location.search);
}
