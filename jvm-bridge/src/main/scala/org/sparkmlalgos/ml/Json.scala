package org.sparkmlalgos.ml

import com.fasterxml.jackson.core.json.{JsonReadFeature, JsonWriteFeature}
import org.json4s.jackson.JsonMethods

/** JSON as Python reads and writes it: with `NaN` and `Infinity`, which the metrics of a model may be. */
private[sparkmlalgos] object Json extends JsonMethods {
  mapper.configure(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS.mappedFeature, true)
  mapper.configure(JsonWriteFeature.WRITE_NAN_AS_STRINGS.mappedFeature, false)
}
